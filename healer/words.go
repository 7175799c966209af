package healer

// State of an incident (HEALING 4).
type State string

// RunState is the state of a run (HEALING 12).
type RunState string

// Scope says at which level a fault lies.
type Scope string

// Verb is what was decided over one rung (HEALING 6): act, not_applicable,
// wait, refuse, ask or would_act.
type Verb string

// Code is the reason of a decision or of a state: the closed list of HEALING 6.
type Code string

// The states of an incident. locating: something fires, where is not known or not
// all of it has been gathered. deciding: a rung is being judged. waiting: a guard
// says not now. acting: a run is under way. recovered: the proof has held, and what
// is in place or still fires is watched. with_human: the machine has stopped and
// reminds. closed is the end.
const (
	stateLocating  State = "locating"
	stateDeciding  State = "deciding"
	stateWaiting   State = "waiting"
	stateActing    State = "acting"
	stateRecovered State = "recovered"
	stateWithHuman State = "with_human"
	stateClosed    State = "closed"
)

// The states of a run. held and unresolved are for people: the first was stopped
// between two steps by kill, of the second nobody can tell what it did, hence it
// keeps its locks. The last six are ends.
const (
	runAwaiting   RunState = "awaiting_approval"
	runReady      RunState = "ready"
	runRunning    RunState = "running"
	runVerifying  RunState = "verifying"
	runUndoing    RunState = "undoing"
	runHeld       RunState = "held"
	runUnresolved RunState = "unresolved"
	runSucceeded  RunState = "succeeded"
	runFailed     RunState = "failed"
	runCancelled  RunState = "cancelled"
	runRefused    RunState = "refused"
	runExpired    RunState = "expired"
	runSimulated  RunState = "simulated"
)

// The scopes of a verdict. observer: the watcher itself is at fault. unknown:
// nobody has located it in time.
const (
	scopeNode     Scope = "node"
	scopeZone     Scope = "zone"
	scopeVersion  Scope = "version"
	scopeService  Scope = "service"
	scopeObserver Scope = "observer"
	scopeUnknown  Scope = "unknown"
)

// The decisions: one acts, the others say why not. not_applicable tries the next
// rung, wait the same one again, refuse and would_act hand over, ask wants a yes.
const (
	verbAct           Verb = "act"
	verbNotApplicable Verb = "not_applicable"
	verbWait          Verb = "wait"
	verbRefuse        Verb = "refuse"
	verbAsk           Verb = "ask"
	verbWouldAct      Verb = "would_act"
)

// The reason codes of HEALING 6. The list is closed: a new code is a change of
// that page. The last three are reasons of a state that is no hand-over.
const (
	codeAct      Code = "act"
	codeApproved Code = "approved"
	codeManual   Code = "manual"

	// not applicable: this plan does not fit, the next rung may.
	codeWhenFalse     Code = "when_false"
	codeDisabled      Code = "disabled"
	codeAlreadyHeld   Code = "already_held"
	codeAttemptsSpent Code = "attempts_spent"

	// wait: it clears by itself and has a next look
	codeLock          Code = "lock"
	codeInFlight      Code = "in_flight"
	codeRunActive     Code = "run_active"
	codeCooldown      Code = "cooldown"
	codeSilenced      Code = "silenced"
	codeInhibited     Code = "inhibited"
	codeObserverFault Code = "observer_fault"
	codeClock         Code = "clock" // of no decision: it stops all claiming

	// refuse: it must not be done, or an answer is missing.
	codeCannotTell     Code = "cannot_tell"
	codeEmptyTarget    Code = "empty_target"
	codeUnknownMember  Code = "unknown_member"
	codeUnsafeValue    Code = "unsafe_value"
	codeTooManyMembers Code = "too_many_members"
	codeUncorroborated Code = "uncorroborated"
	codeNotFiring      Code = "not_firing"

	// ask, which hands over as long as nobody can be asked, and would act.
	codeNoRolling        Code = "no_rolling"
	codeVerdictDisagrees Code = "verdict_disagrees"
	codeModeApprove      Code = "mode_approve"
	codeObserve          Code = "observe"
	codeDryRun           Code = "dry_run"

	// reasons of the state with_human.
	codeNoScenario      Code = "no_scenario"
	codeNotLocated      Code = "not_located"
	codeLadderEnd       Code = "ladder_end"
	codeDecideTimeout   Code = "decide_timeout"
	codeUnresolved      Code = "unresolved"
	codeApprovalExpired Code = "approval_expired"
	codeReleaseOverdue  Code = "release_overdue"
	codeTaken           Code = "taken"

	// reasons of states that are no hand-over.
	codeSelfRecovered Code = "self_recovered"
	codeSuperseded    Code = "superseded"
	codeQuiet         Code = "quiet"
)

// meanings say a code in words, for people.
var meanings = map[Code]string{
	codeAct:              "all guards allow",
	codeApproved:         "a person has approved it",
	codeManual:           "a person asked for it",
	codeWhenFalse:        "a condition of the plan does not hold",
	codeDisabled:         "the plan or the service is switched off",
	codeAlreadyHeld:      "this mitigation is in place already",
	codeAttemptsSpent:    "this plan has had its attempts on this target",
	codeLock:             "another run holds the target or the service",
	codeInFlight:         "as many runs as allowed are under way",
	codeRunActive:        "another run of this incident is under way",
	codeCooldown:         "this plan acted on this target a short time ago",
	codeSilenced:         "all alerts that the action rests on are silenced by somebody",
	codeInhibited:        "all alerts that the action rests on are inhibited by others",
	codeObserverFault:    "the watcher itself is suspected",
	codeClock:            "the store's clock has jumped back",
	codeCannotTell:       "an answer is missing that an action would rest on",
	codeEmptyTarget:      "the plan's target is empty",
	codeUnknownMember:    "the located name is no member of the service",
	codeUnsafeValue:      "a value from outside does not fit the plan's pattern",
	codeTooManyMembers:   "more members are bad than the plan may treat",
	codeUncorroborated:   "Prometheus itself does not see the fault",
	codeNotFiring:        "no alert fires any more, and the service is not good",
	codeNoRolling:        "the plan would replace all members at once",
	codeVerdictDisagrees: "the alerts disagree about where the fault lies",
	codeModeApprove:      "the plan wants to be approved",
	codeObserve:          "the plan is only observed",
	codeDryRun:           "the plan is only rendered",
	codeNoScenario:       "no scenario foresees these alerts",
	codeNotLocated:       "nobody knows where the fault lies",
	codeLadderEnd:        "every plan of the ladder was tried, or there is none for where the fault lies",
	codeDecideTimeout:    "no decision was made in time",
	codeUnresolved:       "what a run did cannot be told",
	codeApprovalExpired:  "nobody has answered the question in time",
	codeReleaseOverdue:   "a mitigation could not be put back",
	codeTaken:            "a person has taken it",
	codeSelfRecovered:    "the service recovered by itself",
	codeSuperseded:       "a new incident has taken its place",
	codeQuiet:            "nothing fires and nothing is held",
}

// meaning says a code in words; a code without words stands for itself.
func meaning(code Code) string {
	if text, known := meanings[code]; known {
		return text
	}
	return string(code)
}
