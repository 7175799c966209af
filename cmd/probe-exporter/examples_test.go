package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestExamples_OfTheDocumentationHaveNoMistake(t *testing.T) {
	for _, name := range []string{"blackbox.yml", "probe-exporter.yml", "probing.yml"} {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"check", "--config.file=../../docs/examples/" + name}, &out, &errs)
		if code != 0 || !strings.Contains(out.String(), "no mistakes") {
			t.Errorf("check of %s: got exit code %d\n%s%s", name, code, &out, &errs)
		}
	}
}
