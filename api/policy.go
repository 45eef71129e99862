package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/greffier/greffier/policy"
)

// eventProposed is the type of the event that tells of a policy which is to replace the one in force. policy.loaded tells that it did.
const eventProposed = "policy.proposed"

// A PolicyInForce is what calls are decided by now.
type PolicyInForce struct {
	Digest   string         `json:"digest"` // SHA-256 of the document, as decisions name it
	LoadedAt time.Time      `json:"loaded_at"`
	Text     string         `json:"text,omitempty"`     // the document; absent where it is not at hand any more
	Proposed string         `json:"proposed,omitempty"` // digest of the document that is written, and not in force yet
	Editable bool           `json:"editable"`           // whether it may be replaced
	Classes  []policy.Class `json:"classes"`
	Rules    []policy.Rule  `json:"rules"`
}

// A policyStore has the policy in force, and takes another. Replace gives a *policy.Error for a document that does not load, and a
// Conflict where none can be taken.
type policyStore interface {
	Current(ctx context.Context) (PolicyInForce, error)
	Replace(ctx context.Context, text []byte, actor string) error
}

func (s *Server) policy(w http.ResponseWriter, r *http.Request) {
	inForce, err := s.cfg.Policy.Current(r.Context())
	if err != nil {
		s.internal(w, r, err)
		return
	}
	if s.witness(w, r, eventViewed, "", map[string]any{"of": "policy", "digest": inForce.Digest}) {
		answer(w, inForce)
	}
}

// propose takes a policy (R35). It is checked first, and witnessed; it is in force once policy.loaded says so.
func (s *Server) propose(w http.ResponseWriter, r *http.Request) {
	if !typed(w, r, "text/yaml", "application/yaml") {
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, policy.MaxBytes))
	if err != nil {
		unreadable(w, err)
		return
	}
	inForce, err := s.cfg.Policy.Current(r.Context())
	if err != nil {
		s.internal(w, r, err)
		return
	}
	if !inForce.Editable {
		fail(w, http.StatusConflict, "the server has no policy file: name one in its configuration (policy)")
		return
	}
	if problems, _ := policy.Check(text); len(problems) > 0 {
		unloadable(w, problems)
		return
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	if !s.witnessBy(w, r, administrator, eventProposed, "", map[string]any{"digest": digest, "instead_of": inForce.Digest}) {
		return
	}
	var wrong *policy.Error
	switch err := s.cfg.Policy.Replace(r.Context(), text, administrator); {
	case errors.As(err, &wrong):
		unloadable(w, wrong.Problems)
	case err != nil:
		s.undone(w, r, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		json.NewEncoder(w).Encode(map[string]any{"digest": digest})
	}
}

// unloadable answers for a policy that does not load, with every problem and where it is.
func unloadable(w http.ResponseWriter, problems []policy.Problem) {
	type problem struct {
		Line    int    `json:"line,omitempty"` // absent when it concerns the whole document
		Column  int    `json:"column,omitempty"`
		Path    string `json:"path,omitempty"`
		Message string `json:"message"`
	}
	list := make([]problem, len(problems))
	for i, p := range problems {
		list[i] = problem(p)
	}
	failWith(w, http.StatusUnprocessableEntity, "the policy does not load", map[string]any{"problems": list})
}
