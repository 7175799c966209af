// Command heal-receiver takes Alertmanager's webhooks and carries out
// remediation. It is given flags and one YAML file; it wires the rooms of the
// healing half and translates their errors into exit codes: 0 done, 1 a
// mistake or a refusal, 2 wrong usage.
package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/onefiveten/onefiveten/healer/console"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// app is the command line: flags, and what each command does with them.
type app struct {
	stdout, stderr io.Writer

	configFile, stateDir, logLevel, logFormat, externalURL string
	acceptRisk, insecure                                   bool

	web    *web.FlagConfig
	remote remote
	json   bool
	bound  func(addresses []string) // tells a test where the server listens

	commands map[string]func(context.Context) error
}

// run is the whole program but for the process: arguments in, exit code out.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return (&app{stdout: stdout, stderr: stderr, bound: func([]string) {}}).run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	code := -1
	k := kingpin.New("heal-receiver", "Carries out remediation for Alertmanager: decides, acts, verifies, undoes, hands over, reviews.")
	k.UsageWriter(a.stdout).ErrorWriter(a.stderr).Terminate(func(c int) { code = c })
	k.Version(version.Print("heal-receiver")).HelpFlag.Short('h')
	a.define(k)
	command, err := k.Parse(args)
	if code >= 0 { // --help, --version
		return code
	}
	if err != nil {
		fmt.Fprintf(a.stderr, "heal-receiver: %v, try --help\n", err)
		return 2
	}
	out := &recorder{Writer: a.stdout}
	a.stdout = out
	err = a.commands[command](ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("writing the output: %w", out.err)
	}
	if err != nil {
		fmt.Fprintf(a.stderr, "heal-receiver: %v\n", err)
		return 1
	}
	return 0
}

// recorder remembers the first error of a writer: most output is printed by
// functions that give none.
type recorder struct {
	io.Writer
	err error
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.Writer.Write(p)
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// define declares every flag and command.
func (a *app) define(k *kingpin.Application) {
	a.commands = map[string]func(context.Context) error{}
	k.Flag("config.file", "Configuration file.").Default("heal-receiver.yml").StringVar(&a.configFile)
	k.Flag("storage.dir", "State folder: the journal stands here unless storage.sqlite names a file.").Default("/var/lib/heal-receiver").StringVar(&a.stateDir)
	k.Flag("log.level", "Least level that is logged: debug, info, warn, error.").Default("info").EnumVar(&a.logLevel, "debug", "info", "warn", "error")
	k.Flag("log.format", "Format of the log: logfmt or json.").Default("logfmt").EnumVar(&a.logFormat, "logfmt", "json")
	k.Flag("accept-risk", "Let plans of mode auto act although some guards are not built yet (`check` lists them).").BoolVar(&a.acceptRisk)
	serve := k.Command("serve", "Serve the webhook and heal (the default).").Default()
	a.web = kingpinflag.AddFlags(serve, ":9099")
	serve.Flag("web.external-url", "URL under which people reach this receiver; it stands in messages.").StringVar(&a.externalURL)
	serve.Flag("insecure.no-auth", "Allow everything without authentication; on loopback addresses alone.").BoolVar(&a.insecure)
	a.commands[serve.FullCommand()] = a.serve

	a.defineOffline(k)
	a.definePeople(k)
	for _, later := range []string{"drill", "run", "audit", "pause", "maintenance", "resume"} {
		c := k.Command(later, "Known, not yet available.")
		c.Arg("arguments", "").Strings()
		a.commands[c.FullCommand()] = func(context.Context) error { return fmt.Errorf("%s: known, not yet available", later) }
	}
}

// defineOffline declares the commands that need no running receiver.
func (a *app) defineOffline(k *kingpin.Application) {
	check := k.Command("check", "Check the configuration: every mistake at once, the time budget, the guards that are not built.")
	strict := check.Flag("strict", "Warnings fail, too.").Bool()
	check.Flag("json", "Print the findings as JSON.").BoolVar(&a.json)
	bound := check.Flag("detect-bound", "Proved bound of detection and location, for the time budget; 0 = the detect target.").Default("0s").Duration()
	a.commands[check.FullCommand()] = func(context.Context) error { return a.check(*strict, *bound) }

	simulate := k.Command("simulate", "Feed notifications (JSON files, as Alertmanager posts them) and print the decisions; nothing is touched.")
	files := simulate.Arg("file", "Notification; - reads standard input.").Required().Strings()
	a.commands[simulate.FullCommand()] = func(ctx context.Context) error { return a.simulate(ctx, *files) }
}

// definePeople declares the commands that ask a running receiver.
func (a *app) definePeople(k *kingpin.Application) {
	k.Flag("url", "Address of the receiver to ask.").Default("http://127.0.0.1:9099").StringVar(&a.remote.url)
	k.Flag("token-file", "File with the bearer token to ask with.").Envar("HEAL_TOKEN_FILE").StringVar(&a.remote.tokenFile)
	k.Flag("user", "User to ask as, with --password-file.").StringVar(&a.remote.user)
	k.Flag("password-file", "File with the user's password.").StringVar(&a.remote.passwordFile)
	k.Flag("storage", "Journal file to read instead of asking: for a receiver that is down.").StringVar(&a.remote.storage)

	incidents := k.Command("incidents", "Look at incidents and take them in hand.")
	list := incidents.Command("list", "List the incidents, newest first.").Default()
	open := list.Flag("open", "Leave the closed ones out.").Bool()
	limit := list.Flag("limit", fmt.Sprintf("How many at most, up to %d.", console.MaxIncidents)).Default("100").Int()
	list.Flag("json", "Print JSON.").BoolVar(&a.json)
	a.commands[list.FullCommand()] = func(ctx context.Context) error { return a.listIncidents(ctx, *open, *limit) }
	show := incidents.Command("show", "Show one incident: instants, decisions, runs.")
	id := show.Arg("incident", "Its id.").Required().String()
	show.Flag("json", "Print JSON.").BoolVar(&a.json)
	a.commands[show.FullCommand()] = func(ctx context.Context) error { return a.showIncident(ctx, *id) }
	a.operation(incidents, "take", "incidents", "Stop automation for it and take it over.")
	a.operation(incidents, "retry", "incidents", "Decide again, from the present rung.")
	a.operation(incidents, "close", "incidents", "Close it.")
	a.operation(incidents, "abort", "runs", "Stop a RUN: its step is ended, then verified.")

	a.operation(k, "ack", "incidents", "Acknowledge an incident: reminders stop.")
	resolve := k.Command("resolve", "Say of an unresolved run whether its step happened.")
	run := resolve.Arg("run", "Its id.").Required().String()
	changed := resolve.Flag("changed", "yes: what it does is in place; no: it is not.").Required().Enum("yes", "no")
	a.commands[resolve.FullCommand()] = func(ctx context.Context) error {
		return a.operate(ctx, "runs", *run, "resolve", url.Values{"changed": {*changed}})
	}

	mitigations := k.Command("mitigations", "Look at what is held in place and release it.")
	held := mitigations.Command("list", "List what is not released.").Default()
	service := held.Flag("service", "Of one service.").String()
	held.Flag("json", "Print JSON.").BoolVar(&a.json)
	a.commands[held.FullCommand()] = func(ctx context.Context) error { return a.listMitigations(ctx, *service) }
	a.operation(mitigations, "release", "mitigations", "Put it back and verify the service.")
	a.operation(mitigations, "forget", "mitigations", "Record that a person has put it back.")

	review := k.Command("review", "Print the review of an incident as Markdown.")
	of := review.Arg("incident", "Its id.").Required().String()
	a.commands[review.FullCommand()] = func(ctx context.Context) error { return a.review(ctx, *of) }
}

// operation declares a command with one id that asks for one operation.
func (a *app) operation(under interface {
	Command(name, help string) *kingpin.CmdClause
}, verb, kind, help string) {
	c := under.Command(verb, help)
	id := c.Arg("id", "Of one of the "+kind+".").Required().String()
	a.commands[c.FullCommand()] = func(ctx context.Context) error { return a.operate(ctx, kind, *id, verb, nil) }
}

func (a *app) operate(ctx context.Context, kind, id, verb string, form url.Values) error {
	c, err := a.remote.client()
	if err != nil {
		return err
	}
	if err := c.operate(ctx, kind, id, verb, form); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s %s: done\n", verb, id)
	return nil
}

// look runs show with the API or the journal file.
func (a *app) look(show func(reader) error) error {
	r, done, err := a.remote.reader()
	if err != nil {
		return err
	}
	defer done()
	return show(r)
}

func (a *app) listIncidents(ctx context.Context, open bool, limit int) error {
	if limit < 1 || limit > console.MaxIncidents {
		return fmt.Errorf("--limit: got %d, want a number from 1 to %d", limit, console.MaxIncidents)
	}
	return a.look(func(r reader) error {
		all, err := r.incidents(ctx, open, limit)
		if err != nil {
			return err
		}
		if len(all) == limit {
			fmt.Fprintf(a.stderr, "these are the newest %d; there may be more (--limit)\n", limit)
		}
		if a.json {
			return printJSON(a.stdout, all)
		}
		printIncidents(a.stdout, all)
		return nil
	})
}

func (a *app) showIncident(ctx context.Context, id string) error {
	return a.look(func(r reader) error {
		i, err := r.incident(ctx, id)
		switch {
		case err != nil:
			return err
		case a.json:
			return printJSON(a.stdout, i)
		}
		printIncident(a.stdout, i)
		return nil
	})
}

func (a *app) listMitigations(ctx context.Context, service string) error {
	return a.look(func(r reader) error {
		all, err := r.mitigations(ctx, service)
		switch {
		case err != nil:
			return err
		case a.json:
			return printJSON(a.stdout, all)
		}
		printMitigations(a.stdout, all)
		return nil
	})
}

func (a *app) review(ctx context.Context, id string) error {
	return a.look(func(r reader) error {
		text, err := r.review(ctx, id)
		if err == nil {
			fmt.Fprintln(a.stdout, strings.TrimSpace(text))
		}
		return err
	})
}
