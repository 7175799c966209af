package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
)

// explained writes what is known of one probe, for people: notes, metrics and
// the settings of the module. It shows no secret of the settings, and no password
// that stands in an address.
func explained(e *entry) []byte {
	var b bytes.Buffer
	r := e.result
	fmt.Fprintf(&b, "Probe of %s by module %s\n", quoted(named(e.target)), quoted(e.module))
	if e.hostname != "" {
		fmt.Fprintf(&b, "hostname: %s\n", quoted(e.hostname))
	}
	fmt.Fprintf(&b, "began:    %s\n", r.Start.UTC().Format(time.RFC3339Nano))
	fmt.Fprintf(&b, "lasted:   %s of %s\n", r.Duration, e.timeout)
	if r.Addr.IsValid() {
		fmt.Fprintf(&b, "address:  %s\n", r.Addr)
	}
	fmt.Fprintf(&b, "result:   %s\n", verdict(r))
	b.WriteString("\nNotes:\n")
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "%10.6f  %s", n.After.Seconds(), oneLine(n.Text))
		for i := 0; i+1 < len(n.Values); i += 2 {
			fmt.Fprintf(&b, " %s=%s", oneLine(fmt.Sprint(n.Values[i])), quoted(fmt.Sprint(n.Values[i+1])))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nMetrics:\n")
	b.Write(exposition(r))
	b.WriteString("\nModule:\n")
	if text, err := yaml.Marshal(e.settings); err == nil {
		b.Write(text)
	} else {
		fmt.Fprintf(&b, "writing the module: %v\n", err)
	}
	return []byte(config.Masked(b.String()))
}

// verdict says how a probe ended.
func verdict(r probe.Result) string {
	if r.Success {
		return "success"
	}
	return fmt.Sprintf("failure, reason %s: %s", r.Reason, oneLine(fmt.Sprint(r.Err)))
}

// quoted writes a text as it is where it is one word, or else in quotes.
func quoted(text string) string {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r == '"' || r == ' ' || !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// named is a target as it is shown. What http probes may lack the scheme, and
// hold a password all the same.
func named(target string) string {
	if strings.Contains(target, "://") {
		return config.Masked(target)
	}
	const scheme = "http://"
	return strings.TrimPrefix(config.Masked(scheme+target), scheme)
}

// oneLine keeps a text of a target from adding lines to the page.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// logs answers /logs?id= and /logs?target=[&module=] with what is kept of a probe
// of /probe.
func (e *exporter) logs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	id, err := strconv.ParseInt(query.Get("id"), 10, 64)
	target, module := query.Get("target"), query.Get("module")
	switch {
	case err == nil && target != "":
		http.Error(w, "got id and target, want one of them", http.StatusBadRequest)
	case err != nil && target == "":
		http.Error(w, "want the id of a probe, or target with or without module", http.StatusBadRequest)
	case target == "" && module != "":
		http.Error(w, "parameter module goes with target, not with id", http.StatusBadRequest)
	default:
		e.showLogs(w, func(one *entry) bool {
			if target == "" {
				return one.id == id
			}
			return one.target == cut(target) && (module == "" || one.module == module)
		})
	}
}

// showLogs answers with the newest probe that fits.
func (e *exporter) showLogs(w http.ResponseWriter, fits func(one *entry) bool) {
	found := e.history.find(fits)
	if found == nil {
		http.Error(w, "no such probe is kept; --history.limit says how many are", http.StatusNotFound)
		return
	}
	plain(w)
	w.Write(explained(found))
}

// plain says that the answer is text, and that a browser is not to guess.
func plain(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
