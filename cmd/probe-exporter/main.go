// Command probe-exporter probes targets, keeps thresholds and fault
// probabilities for each, and makes the rules that turn them into alerts.
//
// It is given flags and YAML files. It wires the rooms of the detecting half
// (config, probe, collector, rules) and translates their errors into exit codes:
// 0 done, 1 a mistake or a refusal, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // zones of seasons, on machines without files of them

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/probe"
)

// main turns signals into the end of a context, and a result into an exit code.
// The first signal lets answers under way end, the second ends the process.
func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // before anything is seen of the end
		cancel()
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// app is the command line: flags, and what each command does with them.
type app struct {
	stdout, stderr io.Writer

	files                                      files
	observer, logLevel, logFormat, proberLevel string
	timeoutOffset                              float64
	checkOnly, autoReload, profiles            bool
	reloadSeconds, historyLimit                uint64
	externalURL, routePrefix                   string
	address                                    address // of both
	web                                        *web.FlagConfig
	bound                                      func(addresses []string) // tells a test where the server listens
	ping                                       func() error             // tells why no ping can be sent from here

	prometheusURL, alertmanagerURL string
	json                           bool

	outputDir                    string
	tests, diffFiles, checkFiles bool

	linting     linting
	backtesting backtesting

	commands map[string]func(context.Context) error
}

// run is the whole program but for the process: arguments in, exit code out.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return (&app{stdout: stdout, stderr: stderr, bound: func([]string) {}, ping: probe.CheckICMP}).run(ctx, args)
}

// run parses the arguments and carries out the command that they name.
func (a *app) run(ctx context.Context, args []string) int {
	code := -1
	k := kingpin.New("probe-exporter", "Probes targets on a schedule and on /probe, keeps thresholds of what it finds, and makes the rules that alert on them.")
	// The library ends the process on --help and --version unless it is told not to.
	k.UsageWriter(a.stdout).ErrorWriter(a.stderr).Terminate(func(c int) { code = c })
	k.Version(version.Print("probe-exporter")).HelpFlag.Short('h')
	k.UsageTemplate(kingpin.LongHelpTemplate)   // with the flags of every command
	if len(args) > 0 && args[0] == "backtest" { // which has more of them than all others
		k.UsageTemplate(kingpin.DefaultUsageTemplate)
	}
	a.define(k)
	command, err := k.Parse(args)
	if code >= 0 { // --help, --version
		return code
	}
	if err == nil {
		err = a.usage()
	}
	if err != nil {
		fmt.Fprintf(a.stderr, "probe-exporter: %v, try --help\n", err)
		return 2
	}
	if err := a.commands[command](ctx); err != nil {
		if !errors.Is(err, errTold) {
			a.tell(err)
		}
		return 1
	}
	return 0
}

// tell prints an error, mistakes of the file one a line as compilers do.
func (a *app) tell(err error) {
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		fmt.Fprintf(a.stderr, "%v\nprobe-exporter: %s has mistakes: %d\n", mistakes, a.files.choose(), len(mistakes))
		return
	}
	fmt.Fprintf(a.stderr, "probe-exporter: %v\n", err)
}

// define declares every flag and command.
func (a *app) define(k *kingpin.Application) {
	k.Flag("config.file", "Configuration file; "+theirFile+" where this one is missing and none is named.").Default(ownFile).IsSetByUser(&a.files.given).StringVar(&a.files.file)
	k.Flag("config.dir", "Folder with more files *.yml and *.yaml of the configuration.").StringVar(&a.files.dir)
	k.Flag("observer", "Name of this exporter among all that watch the same targets; the host name by default.").StringVar(&a.observer)
	a.defineLevel(k, "log.level", "Least level that is logged", &a.logLevel)
	declare(k, "log.format", "Format of the log: logfmt or json.", "logfmt or json", oneOf(&a.logFormat, "logfmt", "json")).Default("logfmt")
	a.defineServe(k.Command("serve", "Probe and serve /metrics/probes, /probe and /metrics (the default).").Default())

	check := k.Command("check", "Check the configuration: every mistake at once, what is unwise, and the bound of every detection.")
	check.Flag("prometheus.url", "Compare with the Prometheus that runs there, too.").StringVar(&a.prometheusURL)
	check.Flag("alertmanager.url", "Compare with the Alertmanager that runs there, too.").StringVar(&a.alertmanagerURL)
	check.Flag("json", "Print the findings as JSON.").BoolVar(&a.json)
	a.defineBackend(check)

	rules := k.Command("rules", "Write recording and alerting rules, their tests, and the Alertmanager route.")
	rules.Flag("output.dir", "Folder to write into; it is made when missing.").Required().StringVar(&a.outputDir)
	rules.Flag("tests", "Write promtool tests, too.").Default("true").BoolVar(&a.tests)
	a.defineBackend(rules)
	rules.Flag("diff", "Write nothing; print what would change, as a unified diff.").BoolVar(&a.diffFiles)
	rules.Flag("check", "Write nothing; end with 1 when a file is missing, differs from what would be written, or is left over.").BoolVar(&a.checkFiles)

	windows := k.Command("windows", "Print the windows and severities that are built in, for a windows_file of your own.")

	a.defineLint(k)
	a.defineBacktest(k)
	a.commands = map[string]func(context.Context) error{
		"serve":             a.serve,
		check.FullCommand(): a.check,
		rules.FullCommand(): func(context.Context) error { return a.rules() },
		"lint":              a.lint,
		"backtest":          a.backtest,
		windows.FullCommand(): func(context.Context) error {
			_, err := io.WriteString(a.stdout, collector.WindowsFile)
			return err
		},
	}
}

// defineBackend declares what stands in the place of the key of the configuration.
func (a *app) defineBackend(c *kingpin.CmdClause) {
	declare(c, "backend", "Who judges probes: exporter, or promql for rules in Prometheus; that of the configuration by default.", "exporter or promql", oneOf(&a.files.backend, "exporter", "promql"))
}

// defineServe declares the flags of the running program: those of
// blackbox_exporter with their defaults, and a few more.
func (a *app) defineServe(serve *kingpin.CmdClause) {
	serve.Flag("config.check", "Check the configuration and exit.").BoolVar(&a.checkOnly)
	serve.Flag("config.enable-auto-reload", "Load the configuration when one of its files changes.").BoolVar(&a.autoReload)
	declare(serve, "config.auto-reload-interval", "Seconds between two looks at the files.", "seconds without a unit or a fraction", whole(&a.reloadSeconds, 32)).Default("30")
	declare(serve, "timeout-offset", "Seconds that a /probe ends before the scrape that asked for it.", "seconds without a unit", seconds(&a.timeoutOffset)).Default("0.5")
	declare(serve, "history.limit", "Probes of /probe that are kept for / and /logs, and as many failures before them; 0 keeps none.", "a number of 0 or more", whole(&a.historyLimit, 64)).Default("100")
	a.defineLevel(serve, "log.prober", "Least level that is logged of the probes of /probe, whatever --log.level says", &a.proberLevel)
	serve.Flag("web.external-url", "URL under which others reach this exporter, when something stands before it.").PlaceHolder("URL").StringVar(&a.externalURL)
	serve.Flag("web.route-prefix", "Path that all pages lie under; that of --web.external-url by default.").PlaceHolder("PATH").StringVar(&a.routePrefix)
	serve.Flag("web.enable-pprof", "Serve profiles of this process under /debug/pprof/.").BoolVar(&a.profiles)
	a.web = kingpinflag.AddFlags(serve, ":9115")
}

// defineLevel declares a flag for a level of the log, in capitals or not.
func (a *app) defineLevel(c flagging, name, help string, into *string) {
	const levels = "debug, info, warn, error"
	declare(c, name, help+": "+levels+".", "debug, info, warn or error", oneOf(into, strings.Split(levels, ", ")...)).Default("info")
}

// usage refuses what the command line parser cannot.
func (a *app) usage() (err error) {
	if a.autoReload && a.reloadSeconds == 0 {
		return errors.New("--config.auto-reload-interval: want 1 second or more, got 0")
	}
	a.address, err = newAddress(a.externalURL, a.routePrefix)
	return err
}
