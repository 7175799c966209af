package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/onefiveten/onefiveten/probe"
)

// discovering is the shop with its targets from elsewhere: lines of the probe.
func discovering(lines ...string) string {
	return strings.Replace(shop, `targets: [{url: "http://n1/", labels: {node: n1, zone: za}}]`, strings.Join(lines, "\n  "), 1)
}

// folder is a place for lists of targets.
type folder struct {
	t   testing.TB
	dir string
}

func newFolder(t testing.TB) folder { return folder{t, t.TempDir()} }

// write replaces a file as one should: it is never there in part.
func (f folder) write(name, text string) {
	f.t.Helper()
	draft := filepath.Join(f.dir, name+".draft")
	if err := os.WriteFile(draft, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(draft, filepath.Join(f.dir, name)); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) remove(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
		f.t.Fatal(err)
	}
}

// sd is the line of a probe that finds its targets in the folder.
func (f folder) sd(pattern string) string {
	return fmt.Sprintf("file_sd: {files: [%q]}", filepath.Join(f.dir, pattern))
}

// onSchedule gives the addresses of all targets in force, in their order.
func onSchedule(c *Collector) string {
	var urls []string
	for _, t := range c.table.Load().targets {
		urls = append(urls, t.url)
	}
	return strings.Join(urls, " ")
}

// gaps gives the times between the runs of one target.
func (f *fake) gaps(target string) (list []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var before time.Time
	for i, at := range f.started {
		if f.targets[i] != target {
			continue
		}
		if !before.IsZero() {
			list = append(list, at.Sub(before))
		}
		before = at
	}
	return list
}

func wantTargets(t *testing.T, when string, c *Collector, want string) {
	t.Helper()
	if got := onSchedule(c); got != want {
		t.Errorf("%s: got targets %q, want %q", when, got, want)
	}
}

func TestDiscovery_ReadsFilesAgainWithoutAReload(t *testing.T) {
	dir := newFolder(t)
	dir.write("a.json", `[{"targets": ["http://n1/"], "labels": {"node": "n1", "zone": "za", "__meta_x": "y", "empty": ""}}]`)
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		c := begun(t, discovering(dir.sd("*.json")), f)
		wantTargets(t, "at the start", c, "http://n1/")
		f.set(refused)
		pass(60 * time.Second)
		before := c.table.Load().targets[0]
		if got := lines(short(text(t, c)), "ksigma_fault{", "availability"); got != faultOn {
			t.Fatalf("got %q, want a fault and the labels of the list", got)
		}
		dir.write("b.json", `[{"targets": ["http://n2/", "http://n3/"]}]`)
		pass(30 * time.Second)
		wantTargets(t, "with a second file", c, "http://n1/ http://n2/ http://n3/")
		if now := c.table.Load().targets[0]; now.state != before.state || now.phase != before.phase {
			t.Error("a target that stayed has lost its state")
		}
		pass(5 * time.Second)
		if got := value(text(t, c), "probe_attempts_total", "n3"); got != "1" {
			t.Errorf("got %s attempts of a new target after one interval, want 1", got)
		}
		for i, gap := range f.gaps("http://n1/") {
			if gap != 5*time.Second {
				t.Errorf("run %d of the target that stayed came %v after the one before, want 5s", i+1, gap)
			}
		}
		dir.remove("b.json")
		dir.write("a.json", "[{\"targets\": [\"http://n2/\"]}]")
		pass(30 * time.Second)
		wantTargets(t, "with another file", c, "http://n2/")
		if got := text(t, c); strings.Contains(got, "n1/") || strings.Contains(got, "n3/") {
			t.Errorf("series of vanished targets are still there:\n%s", lines(got, "instance"))
		}
		dir.write("a.json", "[]")
		pass(30 * time.Second)
		wantTargets(t, "with an empty list", c, "")
	})
}

func TestDiscovery_AReloadReadsAtOnceAndKeepsWhatStays(t *testing.T) {
	dir := newFolder(t)
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		text := discovering(dir.sd("*.yml"), "targets: [{url: \"http://n0/\"}]")
		c := begun(t, text, f)
		wantTargets(t, "without a file", c, "http://n0/")
		dir.write("a.yml", "- {targets: ['http://n1/'], labels: {zone: 1}}\n")
		apply(t, c, f, text)
		wantTargets(t, "after the reload", c, "http://n0/ http://n1/")
		was := c.table.Load().targets[1].state
		dir.write("a.yml", "- {targets: ['http://n1/', 'http://n2/'], labels: {zone: 2}}\n")
		apply(t, c, f, text)
		if wantTargets(t, "after another", c, "http://n0/ http://n1/ http://n2/"); c.table.Load().targets[1].state != was {
			t.Error("the reload has lost the state of a target that was found")
		}
		apply(t, c, f, shop)
		wantTargets(t, "without discovery", c, "http://n1/")
		own(t, c, "", "probe_discovery_failures_total", "probe_discovery_last_success_timestamp_seconds", "probe_discovery_targets", "probe_discovery_refused_targets")
	})
}

func TestDiscovery_ABadFileKeepsTheLastGoodTargets(t *testing.T) {
	dir := newFolder(t)
	dir.write("a.yml", "- targets: ['http://n1/']\n")
	dir.write("b.yml", "- targets: ['http://n2/']\n")
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		c := New("a", log.NewLogfmtLogger(&b))
		if err := c.Apply(parse(t, discovering(dir.sd("?.yml"))), (&fake{}).modules(), proved, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		go func() { _ = c.Run(ctx) }()
		synctest.Wait()
		good := time.Now()
		for name, text := range map[string]string{
			"no YAML":            "- targets: [",
			"unknown key":        "- {targets: [x], lables: {}}",
			"empty":              "",
			"only a remark":      "# soon\n",
			"null":               "null",
			"a mapping":          "targets: [x]",
			"null in the list":   "- null",
			"two documents":      "- targets: [x]\n---\n- targets: [y]",
			"an endless anchor":  "&a [*a]",
			"a list for a label": "- {targets: [x], labels: {a: [b]}}",
			"too many targets":   "- targets: [" + strings.Repeat("x,", maxFound+1) + "]",
			"too long":           "#" + strings.Repeat(" ", maxList),
		} {
			dir.write("a.yml", text)
			failed := testutil.ToFloat64(c.own.discoveryFailures.WithLabelValues("shop-nodes"))
			pass(31 * time.Second)
			wantTargets(t, name, c, "http://n1/ http://n2/")
			if testutil.ToFloat64(c.own.discoveryFailures.WithLabelValues("shop-nodes")) == failed {
				t.Errorf("%s: no failure is counted", name)
			}
		}
		if n := strings.Count(b.String(), "level=warn"); n < 10 || n > 12 {
			t.Errorf("got %d warnings for 12 mistakes, want one for each that differs:\n%s", n, &b)
		}
		if got := testutil.ToFloat64(c.own.discoverySuccess); got != seconds(good) {
			t.Errorf("got the last success at %v, want %v", got, seconds(good))
		}
		// A mistake in one file does not hold up the others, and its end is seen soon.
		dir.write("b.yml", "- targets: ['http://n3/']\n")
		pass(30 * time.Second)
		wantTargets(t, "with a change of the other file", c, "http://n1/ http://n3/")
		dir.write("a.yml", "- targets: ['http://n4/']\n")
		pass(30 * time.Second)
		wantTargets(t, "with a good file again", c, "http://n4/ http://n3/")
		if !strings.Contains(b.String(), `msg="targets can be read again" probe=shop-nodes source=file_sd`) {
			t.Errorf("nobody says that the list is good again:\n%s", &b)
		}
	})
}

// A file may be read while it is being written, by those who do not rename.
func TestDiscovery_AFailureIsTriedAgainSoon(t *testing.T) {
	dir := newFolder(t)
	dir.write("a.json", `[{"targets": ["http://n1/`)
	synctest.Test(t, func(t *testing.T) {
		c := begun(t, discovering(dir.sd("a.json")), &fake{})
		wantTargets(t, "half written", c, "")
		dir.write("a.json", `[{"targets": ["http://n1/"]}]`)
		pass(firstRetry)
		wantTargets(t, "a second later", c, "http://n1/")
	})
}

func TestDiscovery_WaitsLongerAfterEachFailure(t *testing.T) {
	s := &source{refresh: 10 * time.Second}
	var got []time.Duration
	for s.failures = range 7 {
		got = append(got, s.pause()/time.Second)
	}
	if want := []time.Duration{10, 1, 2, 4, 8, 10, 10}; !slices.Equal(got, want) {
		t.Errorf("got pauses of %d s, want %d", got, want)
	}
	if s.failures = 1 << 40; s.pause() != s.refresh {
		t.Errorf("got %v after very many failures, want %v", s.pause(), s.refresh)
	}
}

// What cannot be a target is left out and told; the others are probed.
func TestDiscovery_ABadTargetIsLeftOutAlone(t *testing.T) {
	dir := newFolder(t)
	dir.write("a.yml", `
- targets: [static, found, found, "", "http://me:secret@h/", !!binary /w==]
- {targets: [reserved], labels: {le: x}}
- {targets: [hidden], labels: {exported_job: x}}
- {targets: [no-name, no-name-2, no-name-3], labels: {a-b: x}}
- {targets: [no-text], labels: {zone: !!binary /w==}}
- {targets: [member], labels: {node: n1}}
- {targets: [other-module], labels: {__param_module: http_2xx}}
- {targets: [same-module], labels: {__param_module: fake}}
- {targets: ["127.0.0.1:9115"], labels: {__param_target: instead, __scheme__: https}}
- {labels: {zone: za}}
`)
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		c := New("a", log.NewLogfmtLogger(&b))
		modules := (&fake{}).modules()
		m := modules["fake"]
		m.CheckTarget = func(target string) error {
			if strings.Contains(target, "@") {
				return errors.New("target: it holds a user")
			}
			return nil
		}
		modules["fake"] = m
		settings := parse(t, discovering(dir.sd("a.yml"), "role: entry", "targets: [{url: static}]"))
		for range 2 { // nothing is said twice
			if err := c.Apply(settings, modules, proved, nil); err != nil {
				t.Fatal(err)
			}
		}
		wantTargets(t, "in force", c, "static found reserved hidden same-module instead")
		text(t, c)
		own(t, c, `
# HELP probe_discovery_failures_total Readings of targets that failed, in part or as a whole.
# TYPE probe_discovery_failures_total counter
probe_discovery_failures_total{probe="shop-nodes"} 0
# HELP probe_discovery_refused_targets Targets that were found and are left out, since they cannot be probed or stand twice.
# TYPE probe_discovery_refused_targets gauge
probe_discovery_refused_targets{probe="shop-nodes"} 11
# HELP probe_discovery_targets Targets that were found and are on the schedule.
# TYPE probe_discovery_targets gauge
probe_discovery_targets{probe="shop-nodes"} 5
# HELP probe_targets Targets on the schedule.
# TYPE probe_targets gauge
probe_targets 6
`, "probe_discovery_failures_total", "probe_discovery_targets", "probe_discovery_refused_targets", "probe_targets")
		if got := strings.Count(b.String(), "a target that was found is left out"); got != namedRefusals || strings.Contains(b.String(), "secret") {
			t.Errorf("got %d lines, want %d and no secret:\n%s", got, namedRefusals, &b)
		}
		got := strings.Join(c.table.Load().refused["shop-nodes"], "\n")
		if diff := cmp.Diff(strings.TrimPrefix(strings.ReplaceAll(leftOut, "FILE", filepath.Join(dir.dir, "a.yml")), "\n"), got+"\n"); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

const leftOut = `
FILE: group 1, target 1: it is a target of this probe already
FILE: group 1, target 3: it is a target of this probe already
FILE: group 1, target 4: url: got "", want an address
FILE: group 1, target 5: target: it holds a user
FILE: group 1, target 6: url: got "\xff", want an address
FILE: group 4, target 1: labels.a-b: label name "a-b", want letters, digits and _
FILE: group 4, target 2: labels.a-b: label name "a-b", want letters, digits and _
FILE: group 4, target 3: labels.a-b: label name "a-b", want letters, digits and _
FILE: group 5, target 1: labels.zone: got "\xff", want a text in UTF-8
FILE: group 6, target 1: labels.node: an entry is no node: leave the label out, or set role: node
FILE: group 7, target 1: __param_module asks for module "http_2xx", the probe uses "fake"
`

// Lists that Prometheus reads, too, often say of which service or job a target is.
// The exporter sets these labels itself: it leaves them out, and the target stays.
func TestDiscovery_AReservedLabelCostsNoTarget(t *testing.T) {
	dir := newFolder(t)
	write := func(more string) {
		dir.write("a.yml", `
- {targets: ["http://n1/", "http://n2/"], labels: {service: web, job: blackbox, instance: here, zone: za, exported_a: x, exported_b: x, __meta_x: y, severity: ""}}
- {targets: [], labels: {heal: "true"}}
`+more)
	}
	write("")
	dir.write("b.yml", `[{"targets": ["http://n3/"], "labels": {"job": "web", "node": "n3", "role": "db"}}]`)
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		c := New("a", log.NewLogfmtLogger(&b))
		applied(t, c, &fake{}, discovering(dir.sd("*.yml")))
		const common = `job="probe",instance="http://n%d/",observer="a",probe="shop-nodes",service="shop",role="node",%s} 0`
		want := fmt.Sprintf("probe_attempts_total{"+common+"\nprobe_attempts_total{"+common+"\nprobe_attempts_total{"+common+"\n", 1, `zone="za"`, 2, `zone="za"`, 3, `node="n3"`)
		if diff := cmp.Diff(want, lines(text(t, c), "probe_attempts_total")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		counted := func(labels, refused int) {
			t.Helper()
			own(t, c, fmt.Sprintf(`
# HELP probe_discovery_refused_labels Labels that are left out of targets that were found, since they are reserved; one for each target.
# TYPE probe_discovery_refused_labels gauge
probe_discovery_refused_labels{probe="shop-nodes"} %d
# HELP probe_discovery_refused_targets Targets that were found and are left out, since they cannot be probed or stand twice.
# TYPE probe_discovery_refused_targets gauge
probe_discovery_refused_targets{probe="shop-nodes"} %d
`, labels, refused), "probe_discovery_refused_labels", "probe_discovery_refused_targets")
		}
		counted(12, 0)
		// More targets with the same labels are no news, other labels are, and so is
		// their end.
		write("- {targets: [n4], labels: {job: x}}\n")
		applied(t, c, &fake{}, discovering(dir.sd("*.yml")))
		counted(13, 0)
		write("- {targets: [n4], labels: {job: x, le: x}}\n")
		applied(t, c, &fake{}, discovering(dir.sd("*.yml")))
		dir.write("a.yml", "[]")
		dir.remove("b.yml")
		applied(t, c, &fake{}, discovering(dir.sd("*.yml")))
		counted(0, 0)
		const said = `level=info msg="reserved labels of targets that were found are left out" probe=shop-nodes `
		wanted := said + `labels=12 names="exported_…, instance, job, role, service"` + "\n" +
			said + `labels=14 names="exported_…, instance, job, le, role, service"` + "\n" + said + "labels=0 names=\n"
		if diff := cmp.Diff(wanted, b.String()); diff != "" {
			t.Errorf("the log differs (-want +got):\n%s", diff)
		}
		applied(t, c, &fake{}, shop)
		own(t, c, "", "probe_discovery_refused_labels")
	})
}

// What is left out does not count: a long one costs nothing.
func TestDiscovery_AReservedLabelMayBeLong(t *testing.T) {
	long := strings.Repeat("x", maxTarget)
	l, err := newList([]byte(`[{"targets": ["n"], "labels": {"job": "`+long+`", "exported_`+long+`": "x"}}]`), nil, unmarshalJSON)
	if err != nil {
		t.Fatal(err)
	}
	if got, refused := (Probe{}).admit(lists{"a.json": l}, nil); len(got) != 1 || len(got[0].Labels) != 0 || len(refused) != 0 {
		t.Errorf("got %d targets and %q, want one without labels", len(got), refused)
	}
	if got := l.lost.names(); got != "exported_…, job" {
		t.Errorf("got the names %.80q, want them short", got)
	}
}

// Of no service there is no entry: node is a label as any other.
func TestDiscovery_ANodeOfNoServiceIsALabel(t *testing.T) {
	l, err := newList([]byte(`[{"targets": ["n"], "labels": {"node": "n1", "service": "web", "role": "db"}}]`), nil, unmarshalJSON)
	if err != nil {
		t.Fatal(err)
	}
	got, refused := Probe{Role: roleEntry}.admit(lists{"a.json": l}, nil)
	if diff := cmp.Diff([]Target{{URL: "n", Labels: map[string]string{"node": "n1"}}}, got); diff != "" || len(refused) != 0 {
		t.Errorf("refused %q (-want +got):\n%s", refused, diff)
	}
}

func TestDiscovery_TwoProbesMayFindTheSameTargets(t *testing.T) {
	dir := newFolder(t)
	dir.write("a.json", `[{"targets": ["http://n1/"]}]`)
	both := discovering(dir.sd("a.json"))
	both += strings.Replace(both[strings.Index(both, "- name: shop-nodes"):], "shop-nodes", "again", 1)
	synctest.Test(t, func(t *testing.T) {
		c := begun(t, both, &fake{})
		wantTargets(t, "in force", c, "http://n1/ http://n1/")
		pass(10 * time.Second)
		text(t, c)
	})
}

func TestCheckFiles_TellsWhatIsWrongWithTheFilesNow(t *testing.T) {
	dir := newFolder(t)
	s := parse(t, discovering(dir.sd("*.yml"), "targets: [{url: n0}]"))
	check := func() (got string) {
		s.CheckFiles((&fake{}).modules(), func(path, text string) { got += path + ": " + text + "\n" })
		return strings.ReplaceAll(got, dir.dir+string(filepath.Separator), "")
	}
	if got, want := check(), "probes[0].file_sd.files: there is no such file yet\n"; got != want {
		t.Errorf("without a file: got %q, want %q", got, want)
	}
	dir.write("a.yml", "- {targets: [n0, n1], labels: {service: web, job: x}}\n")
	dir.write("b.yml", "")
	want := `probes[0].file_sd.files: reading b.yml: it is empty, want [] for no targets
probes[0].file_sd.files: left out: a.yml: group 1, target 1: it is a target of this probe already
probes[0].file_sd.files: left out: 4 labels, each once a target, since they are reserved: job, service
`
	if diff := cmp.Diff(want, check()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A label that is wrong for a group is wrong for each of its targets.
func TestCheckFiles_NamesTheFirstTargetsThatAreLeftOut(t *testing.T) {
	dir := newFolder(t)
	dir.write("a.yml", "- {targets: ["+strings.Repeat("n, ", 1000)+"n], labels: {a-b: x}}\n")
	var got []string
	parse(t, discovering(dir.sd("*.yml"))).CheckFiles((&fake{}).modules(), func(_, text string) { got = append(got, text) })
	if len(got) != namedRefusals+1 || got[namedRefusals] != "left out: 991 more targets" {
		t.Errorf("%d lines, want %d and one with the number of the others: %q", len(got), namedRefusals, got[len(got)-1])
	}
}

// The labels of a group stand on every series of each of its targets: a long one
// would be there a million times.
func TestDiscovery_ATargetOfManyBytesIsLeftOut(t *testing.T) {
	long := strings.Repeat("x", maxTarget)
	targets := `{"targets": [` + strings.Repeat(`"n", `, 99) + `"n"], "labels": {`
	for what, group := range map[string]string{
		"value": targets + `"zone": "` + long + `"}}`, "name": targets + `"` + long + `-": "za"}}`,
		"module": targets + `"__param_module": "` + long + `"}}`, "address": `{"targets": ["` + long + `y"]}`,
	} {
		l, err := newList([]byte("["+group+`, {"targets": ["good"]}]`), nil, unmarshalJSON)
		if err != nil {
			t.Fatal(err)
		}
		got, refused := Probe{}.admit(lists{"a.yml": l}, nil)
		if len(got) != 1 || got[0].URL != "good" {
			t.Errorf("%s: got %d targets, want the good one", what, len(got))
		}
		if text := strings.Join(refused, "\n"); !strings.HasPrefix(text, "a.yml: group 1, target 1: address and labels have 4") || len(text) > 100*len(refused) {
			t.Errorf("%s: got %d bytes: %.200s", what, len(text), text)
		}
	}
}

// More targets than the bound are left out, wherever they were found.
func TestDiscovery_NumberOfTargetsIsBounded(t *testing.T) {
	found := lists{}
	for _, name := range []string{"a", "b"} {
		g := &group{}
		for i := range maxFound {
			g.Targets = append(g.Targets, fmt.Sprint(name, i))
		}
		all, _, err := candidates([]*group{g})
		if err != nil {
			t.Fatal(err)
		}
		found[name] = &list{found: all}
	}
	targets, refused := Probe{Targets: []Target{{URL: "x"}}}.admit(found, nil)
	if len(targets) != maxFound+1 || len(refused) != maxFound || !strings.HasPrefix(refused[0], "b: group 1, target 1: the probe has 50000 targets") {
		t.Errorf("got %d targets and %d refused, the first: %.80s", len(targets), len(refused), refused[:min(len(refused), 1)])
	}
}

// A folder that cannot be listed, or a file that cannot be opened, must not look
// like one without targets.
func TestDiscovery_WhatCannotBeReadKeepsItsTargets(t *testing.T) {
	dir := newFolder(t)
	dir.write("a.yml", "- targets: [n1]\n")
	f := &FileSD{Files: []string{filepath.Join(dir.dir, "*.yml")}}
	before, err := f.read(t.Context(), nil)
	if err != nil || len(before) != 1 {
		t.Fatalf("got %v, %v, want one list", before, err)
	}
	same, err := f.read(t.Context(), before)
	if diff := cmp.Diff(fmt.Sprintf("%p", before[filepath.Join(dir.dir, "a.yml")]), fmt.Sprintf("%p", same[filepath.Join(dir.dir, "a.yml")])); err != nil || diff != "" {
		t.Errorf("an unchanged file was read anew: %v %s", err, diff)
	}
	dir.remove("a.yml")
	if err := os.Mkdir(filepath.Join(dir.dir, "a.yml"), 0o700); err != nil {
		t.Fatal(err)
	}
	after, err := f.read(t.Context(), before)
	if err == nil || !strings.Contains(err.Error(), "want a regular file") || len(after) != 1 {
		t.Errorf("a folder in place of the file: got %v, %v", after, err)
	}
	if err := os.RemoveAll(dir.dir); err != nil {
		t.Fatal(err)
	}
	if after, err = f.read(t.Context(), before); err != nil || len(after) != 0 {
		t.Errorf("no folder: got %v, %v, want no targets and no error", after, err)
	}
	if err := os.WriteFile(dir.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.yml", "a.yml"} {
		f.Files[0] = filepath.Join(dir.dir, pattern)
		if after, err = f.read(t.Context(), before); err == nil || len(after) != 1 {
			t.Errorf("%s in a file in place of the folder: got %v, %v, want an error and the list of before", pattern, after, err)
		}
	}
}

// A folder is named by its letters, whatever they mean in a pattern.
func TestFiles_MatchInTheLastPartAlone(t *testing.T) {
	dir := newFolder(t)
	dir.dir = filepath.Join(dir.dir, "[ab]")
	if err := os.Mkdir(dir.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	dir.write("a.yml", "")
	dir.write("b.json", "")
	dir.write("ab.yml", "")
	for pattern, want := range map[string]string{"*.yml": "a.yml ab.yml", "[a-b].*": "a.yml b.json", "b.json": "b.json", "c.json": "", "?.yml": "a.yml"} {
		names, err := files(filepath.Join(dir.dir, pattern))
		for i := range names {
			names[i] = filepath.Base(names[i])
		}
		if got := strings.Join(names, " "); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", pattern, got, err, want)
		}
	}
}

// server is one that gives lists of targets.
type server struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
}

func newServer(t *testing.T) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.answer.Load())(w, r) }))
	t.Cleanup(s.Close)
	return s
}

func (s *server) says(answer http.HandlerFunc) { s.answer.Store(&answer) }

// listed answers as a good server does.
func listed(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		io.WriteString(w, body)
	}
}

// once reads every source of the collector and takes in what was found.
func once(t *testing.T, c *Collector) error {
	t.Helper()
	var errs []error
	for _, s := range c.force.sources {
		found, err := s.reading(t.Context())
		c.take(s, found, err)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func TestHTTPDiscovery_AsksAsPrometheusDoes(t *testing.T) {
	s := newServer(t)
	s.says(func(w http.ResponseWriter, r *http.Request) {
		want := http.Header{
			"Accept": {"application/json"}, "X-Prometheus-Refresh-Interval-Seconds": {"90"},
			"Authorization": {"Bearer word"}, "User-Agent": r.Header["User-Agent"], "X-Team": {"shop"},
		}
		if diff := cmp.Diff(want, r.Header); diff != "" || !strings.HasPrefix(r.UserAgent(), "probe-exporter/") || r.URL.String() != "/list?all=1" {
			t.Errorf("asked for %s (-want +got):\n%s", r.URL, diff)
		}
		listed(`[{"targets": ["http://n1/", "http://n2/"], "labels": {"zone": "za", "__meta_x": "y"}}]`)(w, r)
	})
	dir := newFolder(t)
	dir.write("sd.token", "word\n")
	settings := parse(t, discovering(`http_sd: {url: "`+s.URL+`/list?all=1", refresh_interval: 90s, http_config: {authorization: {credentials_file: sd.token}, http_headers: {X-Team: {values: [shop]}}}}`))
	settings.SetDirectory(dir.dir)
	c := New("a", log.NewNopLogger())
	if err := c.Apply(settings, (&fake{}).modules(), proved, nil); err != nil {
		t.Fatal(err)
	}
	wantTargets(t, "before it was asked", c, "")
	if err := once(t, c); err != nil {
		t.Fatal(err)
	}
	wantTargets(t, "once it was asked", c, "http://n1/ http://n2/")
	if got := lines(text(t, c), "probe_attempts_total", "n2"); !strings.Contains(got, `zone="za"} 0`) || strings.Contains(got, "__") {
		t.Errorf("got %s, want the label zone alone", got)
	}
}

// A password that was changed in its file is used without a reload.
func TestHTTPDiscovery_ReadsSecretsAnewForEachRequest(t *testing.T) {
	s := newServer(t)
	var seen []string
	s.says(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		seen = append(seen, password)
		listed("[]")(w, r)
	})
	dir := newFolder(t)
	settings := parse(t, discovering(`http_sd: {url: "`+s.URL+`", http_config: {basic_auth: {username: u, password_file: pass}}}`))
	settings.SetDirectory(dir.dir)
	dir.write("pass", "one")
	c := New("a", log.NewNopLogger())
	if err := c.Apply(settings, (&fake{}).modules(), proved, nil); err != nil {
		t.Fatal(err)
	}
	err := once(t, c)
	dir.write("pass", "two")
	if err = errors.Join(err, once(t, c)); err != nil || !slices.Equal(seen, []string{"one", "two"}) {
		t.Errorf("got %v, %v, want both passwords", seen, err)
	}
}

func TestHTTPDiscovery_ABadAnswerKeepsTheLastGoodTargets(t *testing.T) {
	s, other := newServer(t), newServer(t)
	other.says(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the other server was asked, with %v", r.Header)
		listed("[]")(w, r)
	})
	s.says(listed(`[{"targets": ["http://n1/"]}]`))
	c := New("a", log.NewNopLogger())
	source := `http_sd: {url: "` + s.URL + `/sd?token=sesame", refresh: 1s, http_config: {authorization: {credentials: sesame}}}`
	if err := c.Apply(parse(t, discovering(source)), (&fake{}).modules(), proved, nil); err != nil {
		t.Fatal(err)
	}
	if err := once(t, c); err != nil {
		t.Fatal(err)
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for want, answer := range map[string]http.HandlerFunc{
		"got status 500, want 200": status(500),
		"got status 204, want 200": status(204),
		`got content type "text/html", want application/json`: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "[]")
		},
		`got content type "application/json; charset=latin1", want application/json`: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=latin1")
			io.WriteString(w, "[]")
		},
		"redirected to http://" + other.Listener.Addr().String(): func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusFound)
		},
		"redirected more than 10 times": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again", http.StatusFound)
		},
		"more than 16 MiB":         listed(strings.Repeat(" ", maxList+1)),
		"unexpected EOF":           listed("[{"),
		"it is empty":              listed(""),
		"got null, want a list":    listed("null"),
		"group 1 is null":          listed("[null]"),
		"something follows":        listed("[] []"),
		"unknown field":            listed(`[{"targets": [], "lables": {}}]`),
		"cannot unmarshal number":  listed(`[{"targets": [1]}]`),
		"want UTF-8":               listed("[{\"targets\": [\"\xff\"]}]"),
		"more than 50000 targets":  listed(`[{"targets": [""` + strings.Repeat(`,""`, maxFound) + "]}]"),
		"deadline exceeded":        func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"EOF":                      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cannot unmarshal object":  listed(`{"targets": ["http://n2/"]}`),
		"looking for beginning of": listed("<html>"),
	} {
		s.says(answer)
		failed := testutil.ToFloat64(c.own.discoveryFailures)
		err := once(t, c)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") || !strings.HasPrefix(err.Error(), "asking "+s.URL+"/sd: ") {
			t.Errorf("got %v, want %q and no token", err, want)
		}
		wantTargets(t, want, c, "http://n1/")
		if got := testutil.ToFloat64(c.own.discoveryFailures); got != failed+1 {
			t.Errorf("%s: got %v failures, want %v", want, got, failed+1)
		}
	}
	s.says(func(w http.ResponseWriter, r *http.Request) { // within the server
		if r.URL.Path == "/sd" {
			http.Redirect(w, r, "/there", http.StatusFound)
			return
		}
		listed(`[{"targets": ["http://n2/"]}]`)(w, r)
	})
	if err := once(t, c); err != nil {
		t.Error(err)
	}
	wantTargets(t, "good again", c, "http://n2/")
}

func TestSameServer_LetsNoSecretOut(t *testing.T) {
	for _, x := range []struct {
		from, to string
		ok       bool
	}{
		{"http://h/a", "http://h/b", true}, {"http://h/a", "https://h/a", true}, {"http://h:80/a", "https://h:443/a", true},
		{"https://h/a", "http://h/a", false}, {"http://h/a", "http://h:81/a", false}, {"http://h/a", "http://g/a", false},
		{"http://h/a", "https://g/a", false}, {"https://h/a", "https://a.h/a", false},
	} {
		request := func(url string) *http.Request { return httptest.NewRequest(http.MethodGet, url, nil) }
		if err := sameServer(request(x.to), []*http.Request{request(x.from)}); (err == nil) != x.ok {
			t.Errorf("%s to %s: got %v", x.from, x.to, err)
		}
	}
}

// A reload that names another server keeps the targets until that has answered.
func TestHTTPDiscovery_AnotherServerTakesOverOnceItAnswers(t *testing.T) {
	one, two := newServer(t), newServer(t)
	one.says(listed(`[{"targets": ["http://n1/", "http://n2/"]}]`))
	two.says(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	c := New("a", log.NewNopLogger())
	from := func(s *server) Settings { return parse(t, discovering(`http_sd: {url: "`+s.URL+`"}`)) }
	if err := errors.Join(c.Apply(from(one), (&fake{}).modules(), proved, nil), once(t, c)); err != nil {
		t.Fatal(err)
	}
	stale := c.force.sources[0]
	state := c.table.Load().targets[1].state
	if err := c.Apply(from(two), (&fake{}).modules(), proved, nil); err != nil {
		t.Fatal(err)
	}
	if err := once(t, c); err == nil {
		t.Error("want the error of the second server")
	}
	wantTargets(t, "while it does not answer", c, "http://n1/ http://n2/")
	two.says(listed(`[{"targets": ["http://n2/", "http://n3/"]}]`))
	if err := once(t, c); err != nil {
		t.Fatal(err)
	}
	wantTargets(t, "once it answers", c, "http://n2/ http://n3/")
	if c.table.Load().targets[0].state != state {
		t.Error("the target that both know has lost its state")
	}
	found, err := stale.reading(t.Context())
	if c.take(stale, found, err); err != nil {
		t.Fatal(err)
	}
	wantTargets(t, "after a late answer of the first", c, "http://n2/ http://n3/")
}

// A probe that reads from two places was last read when the older of them was;
// one that is gone is not brought back by an answer that comes late.
func TestDiscovery_SuccessIsThatOfEverySource(t *testing.T) {
	s, dir := newServer(t), newFolder(t)
	s.says(listed("[]"))
	dir.write("a.yml", "- [")
	c := New("a", log.NewNopLogger())
	applied(t, c, &fake{}, discovering(`http_sd: {url: "`+s.URL+`"}`, dir.sd("*.yml")))
	if err := once(t, c); err == nil {
		t.Error("want the error of the file")
	}
	const never = `
# HELP probe_discovery_failures_total Readings of targets that failed, in part or as a whole.
# TYPE probe_discovery_failures_total counter
probe_discovery_failures_total{probe="shop-nodes"} 2
# HELP probe_discovery_last_success_timestamp_seconds Last time that all targets of the probe could be read, 0: never.
# TYPE probe_discovery_last_success_timestamp_seconds gauge
probe_discovery_last_success_timestamp_seconds{probe="shop-nodes"} 0
`
	names := []string{"probe_discovery_failures_total", "probe_discovery_last_success_timestamp_seconds"}
	own(t, c, never, names...)
	stale := c.force.sources
	applied(t, c, &fake{}, shop)
	for _, s := range stale {
		found, err := s.reading(t.Context())
		c.take(s, found, err)
	}
	own(t, c, "", names...)
}

// The whole way, with a server that is down at the start.
func TestHTTPDiscovery_StartsWithoutTargetsAndTriesAgain(t *testing.T) {
	s := newServer(t)
	var asked atomic.Int32
	s.says(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		listed(`[{"targets": ["http://n1/"]}]`)(w, r)
	})
	probed := make(chan string, 100)
	f := &fake{answer: func(_ context.Context, target string) probe.Result {
		probed <- target
		return good(time.Millisecond)
	}}
	c := New("a", log.NewNopLogger())
	text := strings.Replace(discovering(`http_sd: {url: "`+s.URL+`", refresh: 5s}`), "interval: 5s", "interval: 2s", 1)
	if err := c.Apply(parse(t, text), f.modules(), proved, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	if got := <-probed; got != "http://n1/" || asked.Load() < 2 {
		t.Errorf("probed %q after %d questions", got, asked.Load())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The settings that are there before Run are followed once: a second round would
// ask each server again, and read beside the first.
func TestDiscovery_TheFirstSettingsAreFollowedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New("a", log.NewNopLogger())
		applied(t, c, &fake{}, discovering(`http_sd: {url: "http://127.0.0.1:1/"}`))
		var reads, ends atomic.Int32
		s := c.force.sources[0]
		s.read = func(context.Context, lists) (lists, error) { reads.Add(1); return lists{}, nil }
		s.close = func() { ends.Add(1) }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		if reads.Load() != 1 || ends.Load() != 0 {
			t.Errorf("read %d times and left %d times, want it read once and followed on", reads.Load(), ends.Load())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A reload with a file of http_config that cannot be read changes nothing.
func TestApply_ABadHTTPConfigLeavesEverything(t *testing.T) {
	c := New("a", log.NewNopLogger())
	if err := c.Apply(parse(t, shop), (&fake{}).modules(), proved, nil); err != nil {
		t.Fatal(err)
	}
	bad := parse(t, discovering(`http_sd: {url: "http://127.0.0.1:1/", http_config: {tls_config: {ca_file: /no/such/ca.pem}}}`))
	if err := c.Apply(bad, (&fake{}).modules(), proved, nil); err == nil || !strings.HasPrefix(err.Error(), `probe "shop-nodes": http_sd: http_config: `) {
		t.Errorf("got %v, want an error that names the key", err)
	}
	wantTargets(t, "after the error", c, "http://n1/")
	own(t, c, "", "probe_discovery_targets")
}

// FuzzList gives any text as a list. What is taken must make a page that
// Prometheus reads.
func FuzzList(f *testing.F) {
	for _, text := range []string{
		"[]", "- targets: [a, b]\n  labels: {zone: za}\n", `[{"targets": ["a", "a", ""], "labels": {"__param_target": "x", "le": "y", "a": ""}}]`,
		"- {targets: [!!binary /w==], labels: {a: !!binary /w==}}", "&a [*a]", "- {targets: &t [a], labels: &l {b: c}}\n- {targets: *t, labels: {<<: *l, d: e}}", "null", "\x00", "- targets: [\"\\n\\\"\"]", "- {targets: [a], labels: {camelCase: x}}",
		`[{"targets": ["a", "b"], "labels": {"service": "x", "job": "y", "role": "db", "exported_a": "b", "node": "n", "severity": ""}}]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, unmarshal := range map[string]func([]byte, *[]*group) error{"json": unmarshalJSON, "yaml": unmarshalYAML} {
			l, err := newList(text, nil, unmarshal)
			if err != nil {
				continue
			}
			page := foundPage(t, lists{name: l})
			if found := l.lost; found[""] != 0 || len(found) > len(reserved)+1 || found.sum() < len(found) {
				t.Errorf("got %v, want reserved names that were there", found)
			}
			for _, word := range []string{`"__`, ",__", "{__"} {
				if strings.Contains(lines(page, "probe_attempts_total"), word) && !strings.Contains(string(text), word) {
					t.Errorf("a label for relabelling is on the page:\n%s", page)
				}
			}
		}
	})
}

// foundPage is the page of a probe that has found what the lists say.
func foundPage(t *testing.T, found lists) string {
	c := New("a", log.NewNopLogger())
	s := parse(t, discovering("file_sd: {files: [x.yml]}")+"- {name: plain, module: fake, role: entry, file_sd: {files: [x.yml]}}\n").Complete("a")
	from := []*source{{probe: "shop-nodes", found: found}, {probe: "plain", found: found}}
	if err := c.put(force{s, (&fake{}).modules(), proved, from, nil}); err != nil {
		t.Fatal(err)
	}
	return readable(t, c) // promlint would judge the labels of others
}
