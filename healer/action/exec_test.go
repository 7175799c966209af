//go:build linux

package action

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

func TestOnlySafeProgramsAreAccepted(t *testing.T) {
	dir := t.TempDir()
	mkdir := func(name string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	mkdir("bin", 0o755)
	mkdir("open", 0o755)
	write(t, filepath.Join(dir, "bin/good"), "", 0o755)
	write(t, filepath.Join(dir, "bin/group"), "", 0o775)
	write(t, filepath.Join(dir, "bin/data"), "", 0o644)
	write(t, filepath.Join(dir, "open/tool"), "", 0o755)
	link("bin", "lib")
	link("good", "bin/alias")
	link("../open/hop", "bin/far")
	link("../bin/good", "open/hop")
	link("loop", "bin/loop")
	mkdir("open", 0o777)

	for _, test := range []struct{ program, want string }{
		{"bin/good", ""},
		{"lib/good", ""},
		{"bin/alias", ""},
		{"bin/far", "/open is drwxrwxrwx: others may change it; run chmod go-w on it"},
		{"bin/group", "/bin/group is -rwxrwxr-x: others may change it; run chmod go-w on it"},
		{"open/tool", "/open is drwxrwxrwx: others may change it; run chmod go-w on it"},
		{"bin/data", "/bin/data is -rw-r--r--, want an executable file"},
		{"bin", "/bin is drwxr-xr-x, want an executable file"},
		{"bin/gone", "/bin/gone: no such file or directory"},
		{"bin/good/more", "/bin/good/more: not a directory"},
		{"bin/loop", "more than 40 symbolic links"},
		{"bin/../bin/good", "want an absolute path without . or .. in it"},
	} {
		_, err := own("", dir).safeProgram(dir + "/" + test.program)
		if test.want == "" && err != nil {
			t.Errorf("%s: %v", test.program, err)
		}
		if test.want != "" && (err == nil || !strings.HasSuffix(err.Error(), test.want)) {
			t.Errorf("%s:\ngot  %v\nwant …%s", test.program, err, test.want)
		}
	}

	stranger := own("", dir)
	stranger.Owner++
	_, err := stranger.safeProgram(dir + "/bin/good")
	want := fmt.Sprintf("program %q: %s/bin is owned by user %d, want %d", dir+"/bin/good", dir, os.Getuid(), stranger.Owner)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := own("", dir).safeProgram("hactl"); err == nil {
		t.Error("a program without a path was accepted")
	}
}

func TestAFolderAboveIsJudgedUnlessTrusted(t *testing.T) {
	dir := t.TempDir()
	above := filepath.Join(dir, "above")
	program := filepath.Join(above, "below/tool")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, program, "", 0o755)
	if err := os.Chmod(above, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := own("", above).safeProgram(program); err != nil {
		t.Errorf("trusted: %v", err)
	}
	if _, err := own("", dir).safeProgram(program); err == nil {
		t.Error("a program under a folder that everybody may change was accepted")
	}
}

func TestCodeInArgumentsIsRefused(t *testing.T) {
	for _, test := range []struct {
		argv    string
		refused bool
	}{
		{"/bin/sh -c id", true},
		{"/bin/bash -ec id", true},
		{"/bin/bash -cid", true},
		{"/bin/bash -o posix -c id", true},
		{"/usr/bin/python3.12 -Ic print(1)", true},
		{"/usr/bin/perl -E say", true},
		{"/usr/bin/perl -esay", true},
		{"/usr/bin/node --eval=1", true},
		{"/usr/bin/ruby2.7 -e 1", true},
		{"/usr/bin/env -i bash -c id", true},
		{"/usr/bin/sudo -u web timeout 5 sh -c id", true},
		{"/usr/bin/su web -c id", true},
		{"/bin/busybox sh -c id", true},
		{"/usr/bin/env -Sbash -c id", true},
		{"/usr/bin/env -iS python3", true},
		{"/usr/bin/env --split-string=sh -c id", true},
		{"/usr/bin/php8.2 -r exit;", true},
		{"/usr/bin/node -p 1", true},
		{"/usr/bin/deno eval 1", true},
		{"/usr/bin/pwsh -Command id", true},
		{"/usr/bin/pwsh -NoProfile -com id", true},
		{"/usr/bin/pwsh -encodedcommand aQBkAA==", true},
		{"/usr/bin/bash -r /opt/repair.sh", false},
		{"/usr/bin/env -i HOME=/ /opt/repair -r", false},
		{"/bin/bash /opt/repair.sh web1", false},
		{"/usr/bin/python3 /opt/repair.py --color", false},
		{"/usr/local/bin/hactl drain node -e web1", false},
		{"/usr/bin/systemctl restart web.service", false},
		{"/usr/bin/env", false},
	} {
		argv := strings.Fields(test.argv)
		if err := noInlineCode(argv[0], argv[1:]); (err != nil) != test.refused {
			t.Errorf("%s: got %v, want refused %t", test.argv, err, test.refused)
		}
	}
}

func TestAnInterpreterBehindALinkIsKnown(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bash"), "#!/bin/true\n", 0o755)
	tool := filepath.Join(dir, "tool")
	if err := os.Symlink("bash", tool); err != nil {
		t.Fatal(err)
	}
	e, err := New(own(tool, dir))
	if err != nil {
		t.Fatal(err)
	}
	got := e.Do(t.Context(), healer.Action{Exec: []string{tool, "-c", "id"}, Timeout: time.Second})
	want := fmt.Sprintf(`interpreter %q with "-c": a program must lie in a file`, filepath.Join(dir, "bash"))
	if got.Outcome != healer.Failed || got.Cause != want {
		t.Errorf("got  %+v\nwant %s", got, want)
	}
}

func TestAStepThatMayNotBeDoneHasFailedAndSaysWhy(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "tool")
	write(t, tool, "#!/bin/sh\n", 0o755)
	e, err := New(own(tool, dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		action healer.Action
		want   string
	}{
		{healer.Action{Timeout: time.Second}, "the step is neither exec nor http"},
		{healer.Action{Exec: []string{tool}}, "the step has the time-out 0s, want more than 0s"},
		{healer.Action{Exec: []string{tool}, HTTP: &healer.Request{}, Timeout: time.Second}, "the step is both exec and http, want one"},
		{healer.Action{Exec: []string{"/bin/rm"}, Timeout: time.Second}, `program "/bin/rm" is not in exec.programs`},
		{healer.Action{Exec: []string{"tool"}, Timeout: time.Second}, `program "tool" is not in exec.programs`},
		{healer.Action{Exec: []string{tool, "a\x00b"}, Timeout: time.Second}, fmt.Sprintf("program %q: argument 1 holds a NUL", tool)},
	} {
		if got := e.Do(t.Context(), test.action); got.Outcome != healer.Failed || got.Cause != test.want {
			t.Errorf("got  %+v\nwant %s", got, test.want)
		}
		if text, err := e.DryRun(test.action); text != "" || err == nil || err.Error() != test.want {
			t.Errorf("dry run: got %q, %v, want %s", text, err, test.want)
		}
	}
}

func TestADryRunSaysWhatWouldBeDone(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "tool")
	ran := filepath.Join(dir, "ran")
	write(t, tool, "#!/bin/sh\ntouch "+ran+"\n", 0o755)
	settings := own(tool, dir)
	settings.Hosts = []string{"gateway:8080"}
	e, err := New(settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		action healer.Action
		want   string
	}{
		{
			healer.Action{Exec: []string{tool, "drain", `be_web/web 1"`}, Timeout: 20 * time.Second},
			fmt.Sprintf(`would start %q "drain" "be_web/web 1\"", for at most 20s`, tool),
		},
		{
			healer.Action{HTTP: &healer.Request{Method: "PUT", URL: "http://gateway:8080/limits/search", Body: []byte(`{"rps":800}`)}, Timeout: 5 * time.Second},
			`would send PUT http://gateway:8080/limits/search, for at most 5s, with the body {"rps":800}`,
		},
		{
			healer.Action{HTTP: &healer.Request{Method: "DELETE", URL: "http://gateway:8080/limits/search"}, Timeout: 5 * time.Second},
			`would send DELETE http://gateway:8080/limits/search, for at most 5s`,
		},
	} {
		if got, err := e.DryRun(test.action); err != nil || got != test.want {
			t.Errorf("got  %q, %v\nwant %q", got, err, test.want)
		}
	}
	if _, err := os.Stat(ran); !os.IsNotExist(err) {
		t.Errorf("the dry run started the program: %v", err)
	}
}

func TestAllMistakesOfTheSettingsComeAtOnce(t *testing.T) {
	settings := own("/no/such/program", "")
	settings.Programs = append(settings.Programs, "relative")
	settings.Hosts = []string{"gateway", "[fe80::1]:80", "gateway:http", "good:80"}
	settings.Clients = clients(t, "shed/act/0", "proxy_url: http://proxy:3128")
	_, err := New(settings)
	want := `exec.programs[0]: program "/no/such/program": lstat /no: no such file or directory
exec.programs[1]: program "relative": want an absolute path without . or .. in it
http.allowed_hosts[0]: got "gateway", want host:port
http.allowed_hosts[1]: got "[fe80::1]:80": link-local addresses are never called
http.allowed_hosts[2]: got "gateway:http", want a port from 1 to 65535
http_config of shed/act/0: a proxy is refused: whom it calls could not be checked against http.allowed_hosts`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func FuzzKeptOutputIsTextForAnyDatabase(f *testing.F) {
	f.Add([]byte("plain"), 1)
	f.Add([]byte("ä\x00\xff"), outputLimit)
	f.Add([]byte("\xe2\x82\xac"), outputLimit/3+1)
	f.Fuzz(func(t *testing.T, chunk []byte, times int) {
		var k keeper
		for range max(0, min(times, 200_000/(len(chunk)+1))) {
			if n, err := k.Write(chunk); n != len(chunk) || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
		}
		text := k.String()
		if strings.ToValidUTF8(text, "") != text || strings.ContainsRune(text, 0) {
			t.Errorf("got %q", text)
		}
		if len(k.kept) > outputLimit {
			t.Errorf("kept %d bytes", len(k.kept))
		}
	})
}
