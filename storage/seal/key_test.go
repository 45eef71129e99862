package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/greffier/greffier/storage/seal"
)

// A well-known identity, so that the forms can be pinned. It protects nothing.
const (
	testID        = "0193f1f0-aaaa-7bbb-8ccc-0123456789ab"
	testIdentity  = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
	testRecipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
	testSpoolKey  = "061d842654d02822d7bb4620906c0d2938a2e6b53246625632b8b7d18ad5cab9" // computed by another program

	chunk = 64 << 10
)

func testKey(t testing.TB) *seal.Key {
	t.Helper()
	k, err := seal.ParseIdentity(testID, testIdentity)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, k *seal.Key, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := k.Encrypt(&b)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// noise is the same bytes for the same size.
func noise(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func TestDerivationsArePinned(t *testing.T) {
	k := testKey(t)
	if got := k.Recipient(); got != testRecipient {
		t.Errorf("recipient %s, want %s", got, testRecipient)
	}
	spool := k.SpoolKey()
	if got := hex.EncodeToString(spool[:]); got != testSpoolKey {
		t.Errorf("spool key %s, want %s", got, testSpoolKey)
	}
	want := "# greffier key v1\n# recording " + testID + "\n" + testIdentity + "\n"
	if got := string(seal.Payload(k)); got != want {
		t.Errorf("payload %q, want %q", got, want)
	}
}

func TestRandomAccess(t *testing.T) {
	k := testKey(t)
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 2*chunk - 1, 2 * chunk, 2*chunk + 1, 5*chunk + 12345} {
		plain := noise(size)
		file := sealed(t, k, plain)
		r, err := k.Decrypt(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if r.Size() != int64(size) {
			t.Errorf("%d bytes: Size is %d", size, r.Size())
		}
		if all, err := io.ReadAll(r); err != nil || !bytes.Equal(all, plain) {
			t.Errorf("%d bytes: read all: %v, or other bytes", size, err)
		}
		edges := []int{0, 1, 17}
		for edge := chunk; edge <= size+chunk; edge += chunk {
			edges = append(edges, edge-2, edge-1, edge, edge+1)
		}
		edges = append(edges, size-1, size, size+1)
		for _, at := range edges {
			for _, length := range []int{0, 1, 2, 3, chunk - 1, chunk, chunk + 1, 2*chunk + 1} {
				checkRead(t, r, plain, at, length)
			}
		}
	}
}

func checkRead(t *testing.T, r io.ReaderAt, plain []byte, at, length int) {
	t.Helper()
	if at < 0 {
		return
	}
	want := plain[min(at, len(plain)):min(at+length, len(plain))]
	got := make([]byte, length)
	n, err := r.ReadAt(got, int64(at))
	if !bytes.Equal(got[:n], want) {
		t.Fatalf("size %d: ReadAt(%d bytes at %d) gives %d bytes, want %d, or others", len(plain), length, at, n, len(want))
	}
	if n < length && err != io.EOF || n == length && err != nil && err != io.EOF {
		t.Fatalf("size %d: ReadAt(%d bytes at %d): %v", len(plain), length, at, err)
	}
}

func TestConcurrentReads(t *testing.T) {
	k := testKey(t)
	plain := noise(4 * chunk)
	file := sealed(t, k, plain)
	r, err := k.Decrypt(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			got := make([]byte, chunk)
			at := i * chunk / 5
			if n, err := r.ReadAt(got, int64(at)); n != chunk || err != nil && err != io.EOF || !bytes.Equal(got, plain[at:at+chunk]) {
				t.Errorf("ReadAt(%d): %v, or other bytes", at, err)
			}
		})
	}
	all.Wait()
}

// readAll opens and reads a whole file.
func readAll(k *seal.Key, file []byte) ([]byte, error) {
	r, err := k.Decrypt(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestTamperingIsDetected(t *testing.T) {
	k := testKey(t)
	file := sealed(t, k, noise(2*chunk+100))
	positions := []int{len(file) - 1, len(file) - 16, len(file) - 17, len(file) - 100}
	for i := range 400 { // all of the header, the nonce, and the begin of the first chunk
		positions = append(positions, i)
	}
	for i := 400; i < len(file); i += 997 {
		positions = append(positions, i)
	}
	for _, i := range positions {
		bad := bytes.Clone(file)
		bad[i] ^= 1
		if _, err := readAll(k, bad); !errors.Is(err, seal.ErrDamaged) && !errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func TestTruncationIsDetected(t *testing.T) {
	k := testKey(t)
	file := sealed(t, k, noise(2*chunk+100))
	header := len(file) - (2*chunk + 100 + 3*16)
	for length := range file {
		nearEdge := (length-header)%(chunk+16) < 40 || (length-header)%(chunk+16) > chunk-40
		if length > header+40 && !nearEdge && length%1499 != 0 {
			continue
		}
		if _, err := readAll(k, file[:length]); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("cut to %d of %d bytes: %v", length, len(file), err)
		}
	}
	if _, err := readAll(k, append(bytes.Clone(file), 0)); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("longer by a byte: %v", err)
	}
	// An Encrypt that was not closed leaves no whole file.
	var b bytes.Buffer
	w, err := k.Encrypt(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(3 * chunk)); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(k, b.Bytes()); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("not closed: %v", err)
	}
}

func TestWrongKey(t *testing.T) {
	keys := newKeys(t, t.TempDir())
	other, err := keys.Create(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(other, sealed(t, testKey(t), []byte("content"))); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("%v, want ErrWrongKey", err)
	}
}

type brokenReader struct {
	bytes.Reader
	from int64
	err  error
}

func (r *brokenReader) ReadAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > r.from && offset < r.from+100_000 {
		return 0, r.err
	}
	return r.Reader.ReadAt(p, offset)
}

func TestErrorsOfTheSourceAreNotDamage(t *testing.T) {
	k := testKey(t)
	file := sealed(t, k, noise(5*chunk))
	down := errors.New("store is down")
	for _, from := range []int64{0, 2 * chunk, int64(len(file)) - 10} {
		src := &brokenReader{Reader: *bytes.NewReader(file), from: from, err: down}
		r, err := k.Decrypt(src, int64(len(file)))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if !errors.Is(err, down) || errors.Is(err, seal.ErrDamaged) || errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("from %d: %v, want %v alone", from, err, down)
		}
	}
}

func TestEncryptInFlatMemory(t *testing.T) {
	k := testKey(t)
	const size = 32 << 20
	buf := noise(1 << 20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w, err := k.Encrypt(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for range size / len(buf) {
		if _, err := w.Write(buf); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d bytes took %d bytes of memory", size, took)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	k := testKey(t)
	js, err := json.Marshal(map[string]any{"pointer": k, "value": *k})
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{string(js), k.String(), k.GoString()}
	kekFile := filepath.Join(t.TempDir(), "kek.txt")
	write(t, kekFile, []byte(testIdentity+"\n"))
	kek, err := seal.LocalFile(kekFile)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ Key *seal.Key }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%t", "%p"} {
		for _, v := range []any{k, *k, holder{k}, &holder{k}, []*seal.Key{k}, kek} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
	}
	raw := bytes.Repeat([]byte{0x42}, 32)
	for _, s := range shown {
		for _, secret := range []string{testIdentity, testIdentity[20:40], hex.EncodeToString(raw), string(raw), "66 66 66", hex.EncodeToString([]byte(testIdentity))[40:80]} {
			if strings.Contains(strings.ToLower(s), strings.ToLower(secret)) {
				t.Errorf("shows its secret: %s", s)
			}
		}
	}
	// Errors neither, whatever is broken.
	for _, bad := range []string{testIdentity + "X", testIdentity[:40], strings.ToLower(testIdentity) + "q"} {
		_, err1 := seal.ParseIdentity(testID, bad)
		_, err2 := seal.ParseLocalFile([]byte(bad))
		_, err3 := seal.ParsePayload(testID, []byte("# greffier key v1\n# recording "+testID+"\n"+bad+"\n"))
		for _, err := range []error{err1, err2, err3} {
			if err == nil || strings.Contains(strings.ToUpper(err.Error()), testIdentity[20:36]) {
				t.Errorf("%v", err)
			}
		}
	}
}

// ageCommand runs the age program, of a version that knows hybrid recipients: 1.3 or later.
func ageCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath(filepath.Join(cache, "greffier", "bin", "age"))
	if err != nil {
		t.Fatalf("this test needs the age program: `make tools` installs it (%v)", err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("age %q: %v\n%s", args, err, &stderr)
	}
	return out
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheAgeCommandOpensEverything(t *testing.T) {
	dir := t.TempDir()
	kekFile := filepath.Join(dir, "kek.txt")
	kek, err := seal.LocalFile(kekFile)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenKeys(t.Context(), filepath.Join(dir, "keys"), kek)
	if err != nil {
		t.Fatal(err)
	}
	k, err := keys.Create(t.Context(), testID)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, chunk, 3*chunk + 7} {
		plain := noise(size)
		file, idFile := filepath.Join(dir, "recording.wav.age"), filepath.Join(dir, "id.txt")
		write(t, file, sealed(t, k, plain))
		write(t, idFile, ageCommand(t, "-d", "-i", kekFile, keys.Path(testID, ".age")))
		if got := ageCommand(t, "-d", "-i", idFile, file); !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: age gives %d others", size, len(got))
		}
		// And the other way round.
		write(t, filepath.Join(dir, "plain"), plain)
		theirs := ageCommand(t, "-r", k.Recipient(), filepath.Join(dir, "plain"))
		if got, err := readAll(k, theirs); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes sealed by age: %v, or other bytes", size, err)
		}
	}
}

func BenchmarkEncrypt(b *testing.B) {
	k := testKey(b)
	buf := noise(1 << 20)
	w, err := k.Encrypt(io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := w.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecryptRange(b *testing.B) {
	k := testKey(b)
	file := sealed(b, k, noise(64<<20))
	r, err := k.Decrypt(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4<<10)
	at := int64(0)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		at = (at + 12345678) % (r.Size() - int64(len(buf)))
		if _, err := r.ReadAt(buf, at); err != nil {
			b.Fatal(err)
		}
	}
}
