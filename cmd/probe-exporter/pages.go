package main

import (
	"bytes"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/common/version"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
)

// frame is around every page for people. Links are relative, so that they hold
// behind any prefix; nothing is loaded from elsewhere.
const frame = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>probe-exporter</title>
<style>
body { font-family: sans-serif; margin: 0 1em 2em; }
header { background: #e6522c; color: #fff; margin: 0 -1em; padding: 1px 1em; }
table { border-collapse: collapse; }
th, td { border: 1px solid #ccc; padding: .2em .6em; text-align: left; vertical-align: top; }
td.whole { white-space: nowrap; max-width: 50em; overflow: hidden; text-overflow: ellipsis; }
td.text { max-width: 50em; overflow-wrap: anywhere; }
.failure { color: #b00020; }
</style></head>
<body>
<header><h1>probe-exporter</h1></header>
{{template "page" .}}
</body>
</html>
`

const landingPage = `{{define "page"}}<p>Observer {{.Observer}}, {{.Version}}</p>
<ul>
<li><a href="metrics/probes">Results</a> of the own schedule; scrape with honor_labels: true</li>
<li><a href="failures">Failures</a>, the last of each target of the own schedule</li>
<li><a href="metrics">Metrics</a> of this process</li>
<li><a href="config">Configuration</a> in force</li>
</ul>
{{with .Hint}}<p>{{.}}</p>
{{end}}<form action="probe"><label>Target <input name="target" size="40" required></label>
<label>Module <select name="module">{{range .Modules}}<option>{{.}}</option>{{end}}</select></label>
<input type="hidden" name="debug" value="true"><button>Probe</button></form>
<h2>Recent probes</h2>
{{if .Recent}}<table>
<tr><th>Began</th><th>Module</th><th>Target</th><th>Duration</th><th>Result</th><th>Notes</th></tr>
{{range .Recent}}<tr><td class="whole">{{.Began}}</td><td>{{.Module}}</td><td class="whole" title="{{.Target}}">{{.Target}}</td><td>{{.Duration}}</td><td>{{if .Reason}}<strong class="failure">failure: {{.Reason}}</strong>{{else}}success{{end}}</td><td><a href="logs?id={{.ID}}">logs</a></td></tr>
{{end}}</table>{{else}}<p>{{if .Kept}}None yet.{{else}}None is kept: --history.limit is 0.{{end}}</p>{{end}}{{end}}`

const failuresPage = `{{define "page"}}<p><a href=".">Home</a></p>
<h2>Last failures</h2>
{{if .}}<table>
<tr><th>Began</th><th>Probe</th><th>Service</th><th>Target</th><th>Labels</th><th>Reason</th><th>Error</th><th>Address</th><th>Duration</th><th>Phases</th></tr>
{{range .}}<tr><td class="whole">{{.Began}}</td><td>{{.Probe}}</td><td>{{.Service}}</td><td class="whole" title="{{.Target}}">{{.Target}}</td><td>{{range .Labels}}{{.}}<br>{{end}}</td><td class="failure">{{.Reason}}</td><td class="text">{{.Error}}</td><td>{{.Address}}</td><td>{{.Duration}}</td><td class="whole">{{range .Phases}}{{.}}<br>{{end}}</td></tr>
{{end}}</table>{{else}}<p>No target of the own schedule has failed.</p>{{end}}{{end}}`

// templates are the pages, ready to be filled.
type templates struct{ landing, failures *template.Template }

// newTemplates reads the pages, which are part of the program.
func newTemplates() templates {
	read := func(page string) *template.Template {
		return template.Must(template.Must(template.New("frame").Parse(frame)).Parse(page))
	}
	return templates{landing: read(landingPage), failures: read(failuresPage)}
}

// recent is one probe of /probe as a line of the landing page.
type recent struct {
	ID                                      int64
	Began, Module, Target, Duration, Reason string
}

// landing answers with links, a form, and the probes that are kept.
func (e *exporter) landing(w http.ResponseWriter, _ *http.Request) {
	var lines []recent
	for _, one := range e.history.list() {
		lines = append(lines, recent{
			ID: one.id, Began: instant(one.result.Start), Module: one.module, Target: named(one.target),
			Duration: brief(one.result.Duration), Reason: string(one.result.Reason),
		})
	}
	now := e.current.Load()
	e.show(w, e.templates.landing, map[string]any{
		"Observer": e.observer, "Version": version.Info(), "Recent": lines, "Kept": e.history.limit > 0,
		"Modules": slices.Sorted(maps.Keys(now.probers)), "Hint": now.settings.hint(),
	})
}

// show fills a page and sends it whole.
func (e *exporter) show(w http.ResponseWriter, page *template.Template, with any) {
	var b bytes.Buffer
	if err := page.Execute(&b, with); err != nil {
		level.Error(e.logger).Log("msg", "a page was not made", "err", err)
		http.Error(w, "making the page: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// The page shows what targets have said: should a script ever get through the
	// templates, the browser must not run it.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
	w.Write(b.Bytes())
}

// fault is one failed run as a line of the page of failures.
type fault struct {
	Began, Probe, Service, Target, Reason, Error, Address, Duration string
	Labels, Phases                                                  []string
}

// failures answers with the last failures of the own schedule: as a page for a
// browser, as text for anybody else, or as parameter format says.
func (e *exporter) failures(w http.ResponseWriter, r *http.Request) {
	format := r.URL.Query().Get("format")
	if format == "" {
		format = "text"
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			format = "html"
		}
	}
	switch format {
	case "html":
		e.show(w, e.templates.failures, faults(e.collector.Failures()))
	case "text":
		plain(w)
		w.Write(faultsText(faults(e.collector.Failures())))
	default:
		http.Error(w, fmt.Sprintf("parameter format: got %q, want html or text", format), http.StatusBadRequest)
	}
}

// faults words failures, in the order that they come in.
func faults(failures []collector.Failure) []fault {
	list := make([]fault, len(failures))
	for i, f := range failures {
		r := f.Result
		one := fault{
			Began: instant(r.Start), Probe: f.Probe, Service: f.Service, Target: named(cut(f.Instance)),
			Reason: string(r.Reason), Duration: brief(r.Duration), Phases: phases(r.Samples),
		}
		if r.Err != nil {
			one.Error = config.Masked(cut(r.Err.Error()))
		}
		if r.Addr.IsValid() {
			one.Address = r.Addr.String()
		}
		for _, name := range slices.Sorted(maps.Keys(f.Labels)) {
			one.Labels = append(one.Labels, name+"="+quoted(f.Labels[name]))
		}
		list[i] = one
	}
	return list
}

// faultsText writes one failure a paragraph.
func faultsText(list []fault) []byte {
	var b bytes.Buffer
	if len(list) == 0 {
		b.WriteString("no target of the own schedule has failed\n")
	}
	for i, f := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s probe=%s", f.Began, quoted(f.Probe))
		if f.Service != "" {
			fmt.Fprintf(&b, " service=%s", quoted(f.Service))
		}
		fmt.Fprintf(&b, " target=%s", quoted(f.Target))
		for _, l := range f.Labels {
			b.WriteString(" " + l)
		}
		fmt.Fprintf(&b, "\n  %s after %s", f.Reason, f.Duration)
		if f.Address != "" {
			b.WriteString(" at " + f.Address)
		}
		fmt.Fprintf(&b, ": %s\n", oneLine(f.Error))
		if len(f.Phases) > 0 {
			fmt.Fprintf(&b, "  %s\n", strings.Join(f.Phases, ", "))
		}
	}
	return b.Bytes()
}

// inTime are the phases of all protocols as they follow one another. The page of
// the schedule, and what is kept with it, has them by name.
const inTime = "resolve connect setup tls processing transfer query request check rtt"

// phases are the timings that a protocol has given, in the order of time, without
// those never reached and those too short to be seen.
func phases(samples []probe.Sample) []string {
	order := strings.Fields(inTime)
	took := make([]string, len(order))
	for _, s := range samples {
		if !strings.HasSuffix(s.Name, "_duration_seconds") || len(s.Labels) != 1 || s.Labels[0].Name != "phase" {
			continue
		}
		text := brief(time.Duration(s.Value * float64(time.Second)))
		if i := slices.Index(order, s.Labels[0].Value); i >= 0 && text != brief(0) {
			took[i] = order[i] + " " + text
		}
	}
	return slices.DeleteFunc(took, func(text string) bool { return text == "" })
}

// instant writes a time for people, in UTC as the log does.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// brief writes a duration to the tenth of a millisecond.
func brief(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
