// Package policy decides whether a call is recorded, under which class, and why.
//
// A policy is a YAML document of classes and ordered rules. A class says what a recording is for, on which legal basis it
// stands, how long it is kept and how it is locked; a rule says which calls belong to a class, or to none. [Policy.Decide] is
// a pure function of the facts of a call, the clock and the policy: it reads no file, waits for nothing, never fails and never
// panics, and gives the same answer on every node that has the same file and the same sampling key.
//
// # The document
//
//	version: 1                     # optional
//	timezone: Europe/Paris         # of dates, hour, minute, weekday; default UTC
//	country: FR                    # of national numbers; default: they stay without e164 and country
//	holidays: [2026-05-01]         # what `holiday` asks for
//	keep_facts: P30D               # at most P90D; default: not at all; see below
//	internal:                      # who is one of ours; a participant needs to match one line of any list
//	  domains: [corp.example]      # the host part of the address of record, or a parent domain of it
//	  numbers: ["^[0-9]{3,5}$"]    # RE2, on the number without separators
//	  networks: [10.0.0.0/8]       # the host part, where it is an IP address
//	classes:
//	  quality:
//	    purpose: Service quality
//	    legal_basis: legitimate_interests   # the words of Art. 6(1) GDPR, or its letters a to f
//	    balance_test: LIA-2026-03           # needed for legitimate_interests
//	    mandate: ""                         # the text that obliges to record
//	    retention: P6M                      # calendar period; over P12M only with a mandate; no class without an end
//	    quarantine: P1D                     # unlocked first; default P1D, without delay (PT0S) with a mandate
//	    lock: GOVERNANCE                    # default; COMPLIANCE only with a mandate; none
//	    sample: 2%                          # of the calls that match; 100% only with a mandate; no default
//	    format: wav                         # default; flac; opus, which loses
//	    keep_metadata: [aor, number]        # what the catalog keeps; default DefaultKeepMetadata
//	    channels: external_first            # default; internal_first; label
//	    consent: opt_out                    # or a mapping; see ConsentTerms
//	    pause:                              # see PauseTerms
//	      keys: {pause: "7", resume: "8"}   # default: none
//	      card_digits: 7                    # default; so many keys in a row pause for a payment; 0: never
//	      in_band: false                    # the default; when true, keys are looked for in the sound itself, too
//	      at_most: PT15M                    # default, at most PT4H; a pause that nobody ends is ended then
//	      after: PT30M                      # the recording is paused for good when it has lasted so long; default: never
//	rules:
//	  - name: never-the-works-council
//	    when: participants.exists(p, p.number == "4711")
//	    record: false
//	    reason: Works council              # optional, appears in the decision
//	  - name: hotline
//	    when: direction == "inbound" && callee.number.startsWith("+33800")
//	    class: quality
//	    internal: false                     # default: the rule does not apply to calls among internal participants
//	    from: 2026-03-01                    # first day of the campaign
//	    until: 2026-03-31                   # last day of the campaign
//	    sample: 5%                          # instead of the class's
//	signals:                                # what SRCs say of notice, consent and pauses
//	  - name: notice-played
//	    when: '"X-Notice" in headers'       # over the same facts as rules
//	    means: informed                     # or consented, objected, paused
//	    of: external                        # default everybody, also who joins later; caller, callee, internal; consented needs one
//	    proof: X-Notice                     # the header field or extension whose value refers to the proof
//	  - {name: card, when: '"state" in ext && ext["state"] == "card"', means: paused, reason: payment}
//
// Unknown keys, duplicate keys, anchors and a second document are errors. Every problem is reported, with line and column.
//
// # How the rules are read
//
// Rules are tried in order and the first that applies decides. A call that no rule applies to is not recorded ([NoRule]).
//
//   - A rule without `when` applies to every call.
//   - A rule with a class does not apply to a call whose present participants are all internal, unless it says
//     `internal: true`; the next rule is tried. When that is why nothing was found, the reason is [Internal]. A session with
//     one participant only, who is internal, counts as internal: we do not know that anybody else is there.
//   - A rule that applies outside its dates decides all the same: the call is not recorded ([CampaignOver], [CampaignNotBegun]), and
//     no later rule is tried. An ended campaign thus never falls through to a broader rule.
//   - When a condition cannot be evaluated (it asks for a header that is not there, say), we do not know whether it holds, and the
//     answer is the one that records less: a rule with a class does not apply, a rule with `record: false` does. Decision.Detail
//     says so. Use `"X" in headers && headers["X"] == "y"` to ask without an error.
//
// # Conditions
//
// Conditions are CEL expressions of type bool over these typed facts:
//
//	src           string          name of the SRC profile
//	tenant, trunk string          of the SRC profile, where it says so
//	holiday       bool            whether the day is one of the policy's holidays
//	participants  list            who is in the call now, each a participant
//	caller        participant     the calling party; all fields empty and known false when it is not known
//	callee        participant     the called party, likewise
//	direction     string          "inbound", "outbound", "internal", "external", or "unknown"
//	streams       int             audio streams offered
//	mixed         bool            whether one stream carries several participants
//	headers       map             header fields that the SRC profile keeps, by canonical name ("X-Queue")
//	ext           map             extension data of the metadata, by name; the newest value of a name
//	call_ids      list of string  identifiers of the call
//	now           timestamp       when the decision is made
//	hour, minute  int             in the policy's time zone
//	weekday       int             1 Monday to 7 Sunday, in the policy's time zone
//	date          string          "2026-03-01", in the policy's time zone
//
// A participant has aor, user, host (lower case, no port; also called domain), number (digits, with a leading + where there was one; ""
// when the user part is no number), name: strings; internal: bool; role: "caller", "callee" or ""; known: bool. Of its number, e164,
// country (ISO 3166) and language (ISO 639); of the directory, id and groups (a list). What is not known is "".
//
// direction is "inbound" when the caller is external and somebody internal is there, "outbound" when the caller is internal and somebody
// external is there, "internal" and "external" when all are, and "unknown" when the SRC does not say who called, nobody is named, or
// the policy has no `internal` section.
//
// Patterns given to matches() are literals, and a condition whose cost could grow beyond [MaxCost] for the largest call does not load.
//
// # Sampling
//
// A call belongs to the sample when [Draw] of the sampling key, the class and the call's key, taken as a fraction of 2^64, is below the share. Retries,
// re-INVITEs, other legs and other nodes draw alike; nobody without the key can foresee or steer a draw. Two rules of one class share their draws, so a
// call that is in a 2 % sample is in a 5 % sample of the same class too.
//
// # Signals
//
// Signals are what an SRC says of the will of a call's parties, by [Policy.Signals], and of pauses, by [Policy.Paused]. A signal whose
// condition cannot be evaluated is not there: nobody has been informed or has consented, so that less is recorded, but nobody has objected
// either, and there is no pause. Conditions of objections and pauses therefore ask `"x" in ext` first, and say what they mean when it is not.
//
// # Kept facts
//
// keep_facts has the facts of each decision kept, sealed, so that another policy can be tried on the calls of the past. It has a price: for
// that time it is known who called whom, also of calls that were not recorded. Nothing is kept by default.
//
// Nothing in this package is legal advice: it enforces what a policy says and refuses what a policy must not say.
package policy
