package action

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/onefiveten/onefiveten/healer"
)

// searchPath is the only thing besides HEAL_* that a program finds in its
// environment.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment gives a program its claim and nothing of ours.
func environment(a healer.Action) []string {
	env := []string{searchPath}
	for name, value := range a.Env {
		if strings.HasPrefix(name, "HEAL_") {
			env = append(env, name+"="+value)
		}
	}
	slices.Sort(env)
	return env
}

// interpreters are programs that take a program as text, launchers programs that
// take another program and its arguments.
var (
	interpreters = regexp.MustCompile(`^(sh|bash|rbash|dash|ash|ksh|mksh|zsh|fish|csh|tcsh|busybox|toybox|su|runuser|` +
		`python|perl|ruby|node|nodejs|deno|bun|php|lua|luajit|tclsh|expect|osascript|pwsh|Rscript|groovy|scala)[0-9.]*$`)
	launchers = regexp.MustCompile(`^(env|sudo|doas|timeout|nice|ionice|chrt|taskset|nohup|setsid|stdbuf|xargs|` +
		`chroot|unshare|nsenter|flock|setpriv|systemd-run|chpst|watch|strace|time)$`)
)

// inline are arguments that hand over a program as text: -c and -e, alone, in a
// bundle of letters or with the text attached, and their long forms.
var inline = regexp.MustCompile(`^-[A-Za-z]*[ceE]|^--?(command|eval|execute|print|run-code)(=|$)`)

// inlineOf are arguments that hand over a program as text to one interpreter, or
// a whole command to one launcher.
var inlineOf = []struct{ program, argument *regexp.Regexp }{
	{regexp.MustCompile(`^php[0-9.]*$`), regexp.MustCompile(`^-[A-Za-z]*[rBR]`)},
	{regexp.MustCompile(`^(node|nodejs|bun)[0-9.]*$`), regexp.MustCompile(`^-[A-Za-z]*p`)},
	{regexp.MustCompile(`^deno$`), regexp.MustCompile(`^eval$`)},
	{regexp.MustCompile(`^pwsh$`), regexp.MustCompile(`(?i)^-+c`)},
	{regexp.MustCompile(`^env$`), regexp.MustCompile(`^-[iv0]*S|^--split-string`)},
}

// handsOver tells whether an argument is one of inlineOf for a program.
func handsOver(program, argument string) bool {
	for _, of := range inlineOf {
		if of.program.MatchString(filepath.Base(program)) && of.argument.MatchString(argument) {
			return true
		}
	}
	return false
}

// safeArgv judges a whole command, at load and before each start.
func (e *Executor) safeArgv(argv []string) error {
	program := argv[0]
	if !slices.Contains(e.settings.Programs, program) {
		return fmt.Errorf("program %q is not in exec.programs", program)
	}
	if i := slices.IndexFunc(argv, func(s string) bool { return strings.ContainsRune(s, 0) }); i >= 0 {
		return fmt.Errorf("program %q: argument %d holds a NUL", program, i)
	}
	resolved, err := e.settings.safeProgram(program)
	if err != nil {
		return err
	}
	if err := noInlineCode(resolved, argv[1:]); err != nil {
		return err
	}
	return noInlineCode(program, argv[1:])
}

// noInlineCode refuses an interpreter with -c, -e or its own word for them, also
// behind a launcher, and a launcher that takes a command as text. An argument of
// the script that merely looks like one is refused, too.
func noInlineCode(program string, arguments []string) error {
	interpreter, launched := "", launchers.MatchString(filepath.Base(program))
	if interpreters.MatchString(filepath.Base(program)) {
		interpreter = program
	}
	for _, argument := range arguments {
		switch {
		case interpreter != "" && inline.MatchString(argument):
			return fmt.Errorf("interpreter %q with %q: a program must lie in a file", interpreter, argument)
		case handsOver(program, argument) || handsOver(interpreter, argument):
			return fmt.Errorf("%q with %q: a program must lie in a file, and each argument stand alone", cmp.Or(interpreter, program), argument)
		case launched && interpreters.MatchString(filepath.Base(argument)):
			interpreter = argument
		}
	}
	return nil
}

// safeProgram tells whether nobody but the owner could put another program in
// place of this one, and gives the file that is started in the end.
func (s Settings) safeProgram(program string) (string, error) {
	if !filepath.IsAbs(program) || filepath.Clean(program) != program {
		return "", fmt.Errorf("program %q: want an absolute path without . or .. in it", program)
	}
	resolved, info, err := s.walk(program)
	if err != nil {
		return "", fmt.Errorf("program %q: %w", program, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return "", fmt.Errorf("program %q: %s is %s, want an executable file", program, resolved, info.Mode())
	}
	return resolved, nil
}

// maxLinks is how many symbolic links one path may lead through, as in Linux.
const maxLinks = 40

// walk goes down a path, through links, and judges each file and folder that it
// meets: whoever may change one of them may change what is started.
func (s Settings) walk(path string) (resolved string, info fs.FileInfo, err error) {
	resolved, links := "/", 0
	for rest := append([]string{"/"}, strings.Split(path, "/")...); len(rest) > 0; {
		next := filepath.Join(resolved, rest[0])
		rest = rest[1:]
		if info, err = os.Lstat(next); err != nil {
			return "", nil, err
		}
		if err := s.safe(next, info); err != nil {
			return "", nil, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			resolved = next
			continue
		}
		if links++; links > maxLinks {
			return "", nil, fmt.Errorf("%s: more than %d symbolic links", path, maxLinks)
		}
		to, err := os.Readlink(next)
		if err != nil {
			return "", nil, err
		}
		if filepath.IsAbs(to) {
			resolved = "/"
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return resolved, info, nil
}

// safe judges one file or folder. A link's own mode says nothing.
func (s Settings) safe(path string, info fs.FileInfo) error {
	if s.trusts(path) {
		return nil
	}
	owner, err := ownerOf(info)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if owner != s.Owner {
		return fmt.Errorf("%s is owned by user %d, want %d", path, owner, s.Owner)
	}
	if info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is %s: others may change it; run chmod go-w on it", path, info.Mode())
	}
	return nil
}

// trusts tells whether a path is the trusted folder or one above it.
func (s Settings) trusts(path string) bool {
	return s.Trusted != "" && (path == "/" || path == s.Trusted || strings.HasPrefix(s.Trusted, path+"/"))
}
