// Command probe-exporter probes targets, keeps thresholds and fault
// probabilities for each, and makes the rules that turn them into alerts.
//
// It is given flags and one YAML file. It wires the rooms of the detecting half
// (config, probe, collector, rules) and translates their errors into exit codes:
// 0 done, 1 a mistake or a refusal, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/onefiveten/onefiveten/config"
)

// main turns signals into the end of a context, and a result into an exit code.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// app is the command line: flags, and what each command does with them.
type app struct {
	stdout, stderr io.Writer

	configFile, observer, logLevel, logFormat string
	timeoutOffset                             float64
	checkOnly                                 bool
	web                                       *web.FlagConfig
	bound                                     func(addresses []string) // tells a test where the server listens

	outputDir string
	tests     bool

	later    map[string]*bool // flags of later versions: given or not
	commands map[string]func(context.Context) error
}

// run is the whole program but for the process: arguments in, exit code out.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return (&app{stdout: stdout, stderr: stderr, bound: func([]string) {}}).run(ctx, args)
}

// run parses the arguments and carries out the command that they name.
func (a *app) run(ctx context.Context, args []string) int {
	code := -1
	k := kingpin.New("probe-exporter", "Probes targets on a schedule and on /probe, keeps thresholds of what it finds, and makes the rules that alert on them.")
	// The library ends the process on --help and --version unless it is told not to.
	k.UsageWriter(a.stdout).ErrorWriter(a.stderr).Terminate(func(c int) { code = c })
	k.Version(version.Print("probe-exporter")).HelpFlag.Short('h')
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
		a.tell(err)
		return 1
	}
	return 0
}

// tell prints an error, mistakes of the file one a line as compilers do.
func (a *app) tell(err error) {
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		fmt.Fprintf(a.stderr, "%v\nprobe-exporter: %s has mistakes: %d\n", mistakes, a.configFile, len(mistakes))
		return
	}
	fmt.Fprintf(a.stderr, "probe-exporter: %v\n", err)
}

// define declares every flag and command.
func (a *app) define(k *kingpin.Application) {
	k.Flag("config.file", "Configuration file.").Default("probe-exporter.yml").StringVar(&a.configFile)
	k.Flag("observer", "Name of this exporter among all that watch the same targets; the host name by default.").StringVar(&a.observer)
	k.Flag("log.level", "Least level that is logged: debug, info, warn, error.").Default("info").EnumVar(&a.logLevel, "debug", "info", "warn", "error")
	k.Flag("log.format", "Format of the log: logfmt or json.").Default("logfmt").EnumVar(&a.logFormat, "logfmt", "json")

	serve := k.Command("serve", "Probe and serve /metrics/probes, /probe and /metrics (the default).").Default()
	serve.Flag("config.check", "Check the configuration and exit.").BoolVar(&a.checkOnly)
	serve.Flag("timeout-offset", "Seconds that a /probe ends before the scrape that asked for it.").Default("0.5").Float64Var(&a.timeoutOffset)
	a.web = kingpinflag.AddFlags(serve, ":9115")

	check := k.Command("check", "Check the configuration: every mistake at once, and the bound of every detection.")

	rules := k.Command("rules", "Write recording and alerting rules, their tests, and the Alertmanager route.")
	rules.Flag("output.dir", "Folder to write into; it is made when missing.").Required().StringVar(&a.outputDir)
	rules.Flag("tests", "Write promtool tests, too.").Default("true").BoolVar(&a.tests)

	backtest := k.Command("backtest", "Known, not yet available.")
	backtest.Arg("arguments", "").Strings()
	a.commands = map[string]func(context.Context) error{
		serve.FullCommand():    a.serve,
		check.FullCommand():    func(context.Context) error { return a.check() },
		rules.FullCommand():    func(context.Context) error { return a.rules() },
		backtest.FullCommand(): func(context.Context) error { return fmt.Errorf("backtest: known, not yet available") },
	}
	a.defineLater(serve, "history.limit", "log.prober", "web.external-url", "web.route-prefix", "config.auto-reload-interval")
	a.defineLater(check, "prometheus.url", "alertmanager.url")
	a.later["config.enable-auto-reload"] = serve.Flag("config.enable-auto-reload", "Known, not yet available.").Hidden().Bool()
}

// defineLater declares flags that blackbox_exporter or a later version has, so
// that they are refused by name.
func (a *app) defineLater(c *kingpin.CmdClause, names ...string) {
	if a.later == nil {
		a.later = map[string]*bool{}
	}
	for _, name := range names {
		given := new(bool)
		a.later[name] = given
		c.Flag(name, "Known, not yet available.").Hidden().IsSetByUser(given).String()
	}
}

// usage refuses what the command line parser cannot.
func (a *app) usage() error {
	for name, given := range a.later {
		if *given {
			return fmt.Errorf("--%s: known, not yet available", name)
		}
	}
	if math.IsNaN(a.timeoutOffset) || math.IsInf(a.timeoutOffset, 0) {
		return fmt.Errorf("--timeout-offset: want seconds, got %v", a.timeoutOffset)
	}
	return nil
}
