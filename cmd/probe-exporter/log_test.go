package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/go-kit/log/level"
)

func TestLog_LinesOfLibrariesLookLikeOurs(t *testing.T) {
	form := regexp.MustCompile(`^ts=\S+Z level=info msg=\w+ a=1 g\.b=2\n$`)
	for name, write := range map[string]func(w *safeBuffer){
		"ours": func(w *safeBuffer) { level.Info(newLogger(w, "logfmt", "info")).Log("msg", "x", "a", 1, "g.b", 2) },
		"theirs": func(w *safeBuffer) {
			bridge(newLogger(w, "logfmt", "info")).With("a", 1).WithGroup("g").Info("x", "b", 2)
			bridge(newLogger(w, "logfmt", "info")).Debug("x")
		},
	} {
		w := &safeBuffer{}
		if write(w); !form.MatchString(w.String()) {
			t.Errorf("%s: %s", name, w)
		}
	}
	r := start(t, "--config.file="+write(t, "modules: {a: {prober: tcp}}\n"))
	r.get("/-/ready")
	for line := range strings.Lines(r.log.String()) {
		if !regexp.MustCompile(`^ts=\S+ level=info msg=`).MatchString(line) || strings.Contains(line, "time=") {
			t.Errorf("got %s", line)
		}
	}
}
