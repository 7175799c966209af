package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
	"github.com/onefiveten/onefiveten/demo/term"
)

// programs makes a folder of scripts that answer --version, and the only PATH.
func programs(t *testing.T, versions map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, version := range versions {
		text := fmt.Sprintf("#!/bin/sh\necho '%s, version %s (branch: none, revision: none)'\n", name, version)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

func TestFind_TakesWhatIsOnPathFirst(t *testing.T) {
	programs(t, map[string]string{
		"prometheus": "2.42.0+ds", "promtool": "2.42.0+ds",
		"prometheus-alertmanager": "0.25.0", "amtool": "0.25.0", // Debian's name of the server
	})
	parts, err := Find(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range parts.All() {
		got = append(got, fmt.Sprintf("%s %s %s %s", p.Name, p.Version, p.From, filepath.Base(p.Path)))
	}
	want := `prometheus 2.42.0+ds path prometheus
promtool 2.42.0+ds path promtool
alertmanager 0.25.0 path prometheus-alertmanager
amtool 0.25.0 path amtool`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestOnPath_SaysWhyAPairIsNotTaken(t *testing.T) {
	for name, c := range map[string]struct {
		versions map[string]string
		want     string
	}{
		"no server": {map[string]string{"promtool": "3.0.0"}, "no prometheus on PATH"},
		"no tool":   {map[string]string{"prometheus": "3.0.0"}, "no promtool on PATH"},
		"too old":   {map[string]string{"prometheus": "2.41.9", "promtool": "2.41.9"}, "/prometheus is version 2.41.9, want 2.42 or later"},
	} {
		t.Run(name, func(t *testing.T) {
			programs(t, c.versions)
			_, err := onPath(pairs()[0])
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("got %v, want …%s", err, c.want)
			}
		})
	}
}

func TestOnPath_NamesBothNamesOfAlertmanager(t *testing.T) {
	programs(t, nil)
	_, err := onPath(pairs()[1])
	if want := "no alertmanager or prometheus-alertmanager on PATH"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestOld(t *testing.T) {
	for version, want := range map[string]bool{
		"2.41.0": true, "2.42.0+ds": false, "3.0.0": false, "1.99.0": true,
		"0.315.0": false, "0.241.0": true, // Prometheus' module counts 3.15 as 0.315
		"": true, "weekly": true, "x.y": true,
	} {
		if got := old(version, [2]int{2, 42}); got != want {
			t.Errorf("old(%q, 2.42) = %v, want %v", version, got, want)
		}
	}
	if old("0.25.0", [2]int{0, 25}) || !old("0.24.1", [2]int{0, 25}) {
		t.Error("Alertmanager: want 0.25 taken and 0.24 refused")
	}
}

func TestParts_AreNamedByTheVersionsThatPeopleKnow(t *testing.T) {
	p := Parts{Prometheus: Program{Version: "0.305.1", From: "build"}, Alertmanager: Program{Version: "0.31.1", From: "build"}}
	if got, want := p.String(), "Prometheus 3.5.1 (build), Alertmanager 0.31.1 (build)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.Prometheus.Version = "2.42.0+ds"
	if got, want := p.String(), "Prometheus 2.42.0+ds (build), Alertmanager 0.31.1 (build)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWrap_ThePathMayHaveABlankOrAQuote(t *testing.T) {
	f := &finder{cache: filepath.Join(t.TempDir(), "it's a folder"), say: term.New(nil)}
	server := filepath.Join(f.cache, "debian", "root", "usr", "bin", "server")
	if err := os.MkdirAll(filepath.Dir(server), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(server, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.wrap("server"); err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	show := "#!/bin/sh\nfor word; do echo \"<$word>\"; done\n" // in the place of unshare
	if err := os.WriteFile(filepath.Join(tools, "unshare"), []byte(show), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	out, err := exec.Command(filepath.Join(f.cache, "debian", "server"), "--flag").CombinedOutput()
	if want := "<" + server + ">\n<--flag>\n"; err != nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("got %v\n%s\nwant the end\n%s", err, out, want)
	}
}

func TestFind_RefusesAnUnknownChoice(t *testing.T) {
	_, err := Find(context.Background(), Options{Which: "snap"})
	if want := `finding the real servers: STACK is "snap", want nothing, build or debian`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRoot_OutsideTheRepositorySaysSo(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	_, err := Find(context.Background(), Options{})
	want := "looking for the repository: no folder from " + dir + " upwards holds demo/stack/prometheus/go.mod; start it inside the repository"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRequired_ReadsThePinnedVersions(t *testing.T) {
	for _, p := range pairs() {
		got, err := required(filepath.Join(p.folder, "go.mod"), p.module)
		if err != nil || !strings.Contains(got, ".") {
			t.Errorf("%s: got %q, %v", p.module, got, err)
		}
	}
	if _, err := required("prometheus/go.mod", "example.org/none"); err == nil || err.Error() != "prometheus/go.mod: requires no example.org/none" {
		t.Errorf("got %v", err)
	}
}

// scratch is a repository with one tiny module to build.
func scratch(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.org/tiny\n", "tiny/main.go": source} {
		file := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(file), 0o755)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBuild_PutsTheProgramInPlaceAndSaysHowLongItTook(t *testing.T) {
	dir, said := scratch(t, "package main\nfunc main() {}\n"), &strings.Builder{}
	into := filepath.Join(dir, "bin")
	b := Build{Folder: dir, Packages: []string{"./tiny"}, Into: into, What: "building tiny", Progress: term.New(said)}
	if err := b.Do(context.Background()); err != nil {
		t.Fatal(err)
	}
	files, _ := os.ReadDir(into)
	if len(files) != 1 || files[0].Name() != "tiny" {
		t.Errorf("got %v in the folder, want tiny alone", files)
	}
	if !strings.HasPrefix(said.String(), "  building tiny  ") || !strings.HasSuffix(said.String(), " s\n") {
		t.Errorf("got %q, want the name and the seconds", said)
	}
}

func TestBuild_ShowsWhatTheCompilerSaid(t *testing.T) {
	dir := scratch(t, "package main\nfunc main() { nothing() }\n")
	b := Build{Folder: dir, Packages: []string{"./tiny"}, Into: filepath.Join(dir, "bin"), Progress: term.New(nil)}
	err := b.Do(context.Background())
	if err == nil || !strings.Contains(err.Error(), "undefined: nothing") {
		t.Errorf("got %v, want the compiler's words", err)
	}
}

func TestBuild_EndsWithItsContext(t *testing.T) {
	dir := scratch(t, "package main\nfunc main() {}\n")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(fmt.Errorf("interrupted"))
	b := Build{Folder: dir, Packages: []string{"./tiny"}, Into: filepath.Join(dir, "bin"), Progress: term.New(nil)}
	if err := b.Do(ctx); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v, want the reason of the end", err)
	}
}

// A build that is ended in the middle leaves no folder.
func TestBuild_EndedInTheMiddleLeavesNothingBehind(t *testing.T) {
	dir := scratch(t, "package main\nimport _ \"net/http\"\nfunc main() {}\n")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("GOCACHE", t.TempDir()) // nothing is compiled yet, so that there is a middle
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	b := Build{Folder: dir, Packages: []string{"./tiny"}, Into: filepath.Join(dir, "bin"), Progress: term.New(nil)}
	ended := make(chan error, 1)
	go func() { ended <- b.Do(ctx) }()
	begun := func() (bool, error) {
		for _, folder := range []string{temp, filepath.Join(b.Into, ".new-*", "tmp")} {
			if objects, err := filepath.Glob(filepath.Join(folder, "go-build*", "b*", "*.a")); err != nil || len(objects) > 0 {
				return true, err
			}
		}
		return false, nil
	}
	if err := poll(t.Context(), begun); err != nil {
		t.Fatal(err)
	}
	cancel(fmt.Errorf("interrupted"))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v, want the reason of the end", err)
	}
	for _, folder := range []string{temp, b.Into} {
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v, %v", folder, left, err)
		}
	}
}

func TestLock_OneBuildAtATime(t *testing.T) {
	f := &finder{cache: t.TempDir(), say: term.New(nil)}
	unlock, err := f.lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancel()
	if _, err := f.lock(ctx); err == nil || !strings.Contains(err.Error(), "waiting for the lock") {
		t.Fatalf("got %v while it is held, want a wait that ends with the context", err)
	}
	unlock()
	again, err := f.lock(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestDownload_NamesTheToolAndItsLastWords(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte("#!/bin/sh\necho \"E: no route for $2\"\nexit 100\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	err := download(context.Background(), dir, "prometheus")
	want := "apt-get -q download prometheus: exit status 100: E: no route for download; and then: " +
		"apt-get -q update: exit status 100: E: no route for update (run apt-get update as root once)"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestDebian_WithoutDebiansToolsSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	root := t.TempDir()
	_, err := Debian(context.Background(), Options{Root: root})
	want := "finding prometheus and promtool: fetching Debian's package prometheus: no apt-get on PATH; this needs a Debian or Ubuntu machine (STACK=build needs only Go)"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// The real thing: both generations are found, start, are ready, and end.
func TestServers_OfBothGenerationsStartAndStop(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute) // a first build takes about five
	defer cancel()
	for name, find := range map[string]func(context.Context, Options) (Parts, error){"as in make demo": Find, "debian": Debian} {
		t.Run(name, func(t *testing.T) {
			parts, err := find(ctx, Options{Progress: term.New(os.Stderr)})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range parts.All() {
				t.Log(p)
			}
			dir := t.TempDir()
			var g process.Group
			defer g.Close()
			prometheus := start(ctx, t, &g, dir, "prometheus", "global: {}\n", parts.PrometheusCommand)
			alertmanager := start(ctx, t, &g, dir, "alertmanager", "route: {receiver: people}\nreceivers: [{name: people}]\n", parts.AlertmanagerCommand)

			g.Close()

			for _, p := range []*process.Process{prometheus, alertmanager} {
				if err := syscall.Kill(p.Pid(), 0); err == nil {
					t.Errorf("%s is still alive after Close", p.Name())
				}
			}
		})
	}
}

func start(ctx context.Context, t *testing.T, g *process.Group, dir, name, config string, command func(Server) process.Command) *process.Process {
	t.Helper()
	port, err := process.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	g.Add(port.Close)
	file := filepath.Join(dir, name+".yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := g.Start(ctx, time.Minute, command(Server{
		Config: file, Data: filepath.Join(dir, name), Addr: port.Addr(), Log: filepath.Join(dir, "logs", name+".log"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestServers_AWrongConfigurationShowsTheEndOfTheLog(t *testing.T) {
	parts, err := Find(context.Background(), Options{Progress: term.New(os.Stderr)})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var g process.Group
	defer g.Close()
	config := filepath.Join(dir, "prometheus.yml")
	os.WriteFile(config, []byte("globule: {}\n"), 0o644)
	_, err = g.Start(context.Background(), time.Minute, parts.PrometheusCommand(Server{
		Name: "the wrong one", Config: config, Data: filepath.Join(dir, "data"), Addr: "127.0.0.1:1", Log: filepath.Join(dir, "log"),
	}))
	if err == nil || !strings.HasPrefix(err.Error(), "the wrong one ended early with exit status ") || !strings.Contains(err.Error(), "globule") {
		t.Errorf("got %v, want its name, its exit code and its words", err)
	}
}
