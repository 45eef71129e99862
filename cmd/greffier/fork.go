package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/siprec/siprectest"
)

// forkCmd is an SRC on the command line.
type forkCmd struct {
	To        string        `required:"" placeholder:"HOST:PORT" help:"The recording server; tls://HOST:PORT and so on name the transport too."`
	Left      string        `required:"" placeholder:"FILE" help:"WAVE file that the first party says, at 8000 Hz."`
	Right     string        `required:"" placeholder:"FILE" help:"WAVE file that the second party says, at 8000 Hz."`
	Metadata  string        `placeholder:"FILE" help:"rs-metadata document to send; absent: two made-up parties."`
	Calls     int           `default:"1" help:"How many calls."`
	Rate      float64       `default:"0" help:"Calls opened per second; 0: all at once."`
	Duration  time.Duration `default:"0" help:"How long each call lasts; 0: as long as the longer file."`
	Transport string        `enum:"udp,tcp,tls" default:"udp" help:"udp, tcp or tls."`
	TLSCA     string        `name:"tls-ca" placeholder:"FILE" help:"PEM file with the authority of the server's certificate; absent: the system's."`
	TLSCert   string        `name:"tls-cert" placeholder:"FILE" help:"PEM file with our certificate chain, for a server that asks for one."`
	TLSKey    string        `name:"tls-key" placeholder:"FILE" help:"PEM file with its private key."`
	TLSName   string        `name:"tls-name" placeholder:"HOST" help:"Name that the server's certificate must have; absent: the host of --to."`
	SRTP      string        `name:"srtp" enum:"none,dtls,AES_CM_128_HMAC_SHA1_80,AES_CM_128_HMAC_SHA1_32,AES_256_CM_HMAC_SHA1_80,AES_256_CM_HMAC_SHA1_32,AEAD_AES_128_GCM,AEAD_AES_256_GCM" default:"none" help:"How the media are protected: none, dtls, or the SRTP suite of a key in the offer."`
	User      string        `placeholder:"NAME" help:"User name for a server that asks for one."`
	Password  string        `name:"password-file" placeholder:"FILE" help:"File that holds its password."`
	JSON      bool          `name:"json" help:"Print JSON."`
}

// forkRate is the sampling rate of what is sent.
const forkRate = 8000

func (f forkCmd) Run(ctx context.Context, s streams) error {
	if err := f.readTo(); err != nil {
		return err
	}
	secure, err := f.tls()
	if err != nil {
		return err
	}
	left, err := readSound(f.Left)
	if err != nil {
		return fmt.Errorf("--left: %w", err)
	}
	right, err := readSound(f.Right)
	if err != nil {
		return fmt.Errorf("--right: %w", err)
	}
	var metadata []byte
	if f.Metadata != "" {
		if metadata, err = os.ReadFile(f.Metadata); err != nil {
			return fmt.Errorf("--metadata: %w", err)
		}
	}
	duration := f.Duration
	if duration == 0 {
		duration = time.Duration(max(len(left), len(right))) * time.Second / forkRate
	}
	credentials, err := f.credentials()
	if err != nil {
		return err
	}
	src, err := siprectest.Dial(ctx, siprectest.Config{Server: f.To, Transport: f.Transport, TLS: secure, User: "greffier-fork", Credentials: credentials})
	if err != nil {
		return err
	}
	report := src.Load(ctx, siprectest.LoadSpec{
		Calls: f.Calls, Rate: f.Rate, Duration: duration,
		Call: func(int) siprectest.CallSpec { return f.call(left, right, metadata) },
		Each: func(r siprectest.Result) {
			if r.Err != nil {
				fmt.Fprintf(s.err, "call %d: %v\n", r.Index+1, r.Err)
			}
		},
	})
	if err := src.Close(); err != nil {
		return err
	}
	if err := f.print(s, report); err != nil {
		return err
	}
	if report.Completed != report.Calls {
		return errQuiet
	}
	return nil
}

// readTo takes a transport out of --to.
func (f *forkCmd) readTo() error {
	if transport, rest, ok := strings.Cut(f.To, "://"); ok {
		if transport != "udp" && transport != "tcp" && transport != "tls" {
			return fmt.Errorf("--to: %s:// is not known; write udp://, tcp:// or tls://", transport)
		}
		f.Transport, f.To = transport, rest
	}
	if _, _, err := net.SplitHostPort(f.To); err != nil {
		return fmt.Errorf("--to: %w; write HOST:PORT", err)
	}
	return nil
}

// tls reads the files that TLS needs; nil for another transport.
func (f forkCmd) tls() (*tls.Config, error) {
	if f.Transport != "tls" {
		if f.TLSCA+f.TLSCert+f.TLSKey+f.TLSName != "" {
			return nil, errors.New("--tls-ca, --tls-cert, --tls-key and --tls-name need --transport tls, or --to tls://HOST:PORT")
		}
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.TLSName}
	if f.TLSCA != "" {
		text, err := os.ReadFile(f.TLSCA)
		if err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--tls-ca: %s holds no certificate in PEM form", f.TLSCA)
		}
	}
	if f.TLSCert+f.TLSKey != "" {
		cert, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// credentials reads what a server may ask for.
func (f forkCmd) credentials() (siprectest.Credentials, error) {
	if (f.User == "") != (f.Password == "") {
		return siprectest.Credentials{}, errors.New("--user and --password-file: one needs the other")
	}
	if f.User == "" {
		return siprectest.Credentials{}, nil
	}
	password, err := readPassword(f.Password)
	if err != nil {
		return siprectest.Credentials{}, fmt.Errorf("--password-file: %w", err)
	}
	return siprectest.Credentials{User: f.User, Password: password}, nil
}

func (f forkCmd) call(left, right siprectest.PCM, metadata []byte) siprectest.CallSpec {
	spec := siprectest.TwoParty(left, right)
	for i := range spec.Streams {
		spec.Streams[i].Security = f.security()
	}
	if metadata != nil {
		labels := siprectest.Labels(metadata)
		for i := range spec.Streams { // the m-lines carry the document's labels
			if i < len(labels) {
				spec.Streams[i].Label = labels[i]
			}
		}
		spec.Metadata, spec.RawMetadata = nil, metadata
	}
	return spec
}

func (f forkCmd) security() siprectest.Security {
	switch f.SRTP {
	case "", "none":
		return siprectest.Security{}
	case "dtls":
		return siprectest.Security{DTLS: true}
	}
	return siprectest.Security{Suite: f.SRTP}
}

func (f forkCmd) print(s streams, r siprectest.LoadReport) error {
	if f.JSON {
		return printJSON(s.out, map[string]any{
			"calls": r.Calls, "answered": r.Answered, "completed": r.Completed, "failed": r.Failed, "statuses": r.Statuses, "errors": r.Errors,
			"setup_p50_ms": r.SetupP50.Seconds() * 1000, "setup_p99_ms": r.SetupP99.Seconds() * 1000, "packets": r.Packets,
		})
	}
	_, err := fmt.Fprintf(s.out, "%d calls: %d answered, %d completed, %d failed; INVITE to 200: p50 %s, p99 %s; %d RTP packets sent\n",
		r.Calls, r.Answered, r.Completed, r.Failed, r.SetupP50.Round(10*time.Microsecond), r.SetupP99.Round(10*time.Microsecond), r.Packets)
	return err
}

// readSound reads the first channel of a WAVE file at 8000 Hz.
func readSound(path string) (pcm siprectest.PCM, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open sound: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open sound: %w", err)
	}
	sound, channels, err := wav.ReadSamples(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if sound.SampleRate != forkRate || len(channels) == 0 {
		return nil, fmt.Errorf("%s is at %d Hz; convert it: sox %s -r %d -c 1 out.wav", path, sound.SampleRate, path, forkRate)
	}
	return siprectest.PCM(channels[0]), nil
}
