package console

import (
	"os"
	"path/filepath"
	"testing"
)

// put writes one of the house's credential files.
func (h *house) put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A password file that was cut to nothing, as by a full disk, lets nobody in.
func TestAnEmptyPasswordFileLetsNobodyIn(t *testing.T) {
	for _, text := range []string{"", "\n"} {
		h := newHouse(t, nil)
		h.put(t, "op.hash", text)
		for _, password := range []string{opPass, "guess", ""} {
			if code, _ := h.call(t, "POST", "/api/v1/incidents/01I:close", opUser+":"+password, ""); code == 200 || len(h.healer.asked) > 0 {
				t.Errorf("with the file %q the password %q is answered %d, and the healer was asked %q", text, password, code, h.healer.asked)
			}
		}
	}
}
