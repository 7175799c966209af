package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestExample_OfTheDocumentationHasNoMistake(t *testing.T) {
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"check", "--config.file=../../docs/examples/probe-exporter.yml"}, &out, &errs)
	if code != 0 || !strings.Contains(out.String(), "no mistakes") {
		t.Errorf("check of the example: got exit code %d\n%s%s", code, &out, &errs)
	}
}
