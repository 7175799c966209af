package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExample_OfTheDocumentationHasNoMistake(t *testing.T) {
	text, err := os.ReadFile("../../docs/examples/heal-receiver.yml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "heal-receiver.yml")
	for name, text := range map[string]string{"heal-receiver.yml": string(text), "heal.token": "a", "oncall.token": "b", "duty.url": "http://duty.example.org/"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := command(t, "check", "--config.file="+file)
	if code != 0 || !strings.Contains(out, "1 services, 2 plans, 1 scenarios") {
		t.Errorf("check of the example: got exit code %d\n%s%s", code, out, errs)
	}
}
