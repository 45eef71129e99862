import { watch } from "./calls.js";

const $ = (id) => document.getElementById(id);
const rows = $("recordings").tBodies[0];
let next = "";

const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const when = (text) => (text ? time.format(new Date(text)) : "");
const length = (ms) => `${Math.floor(ms / 60000)}:${((ms % 60000) / 1000).toFixed(1).padStart(4, "0")}`;
const states = { recording: "being recorded", finishing: "being finished", stored: "stored, not yet locked", locked: "locked", not_recorded: "not recorded", failed: "failed", expired: "expired", destroyed: "destroyed", shredded: "erased on request: unreadable, bytes left until the lock ends", erased: "erased on request" };
const reasons = { sampled_out: "sampled out", sampled_in: "sampled in", no_rule: "no rule matched", internal: "internal call", never: "never recorded", campaign_over: "campaign over" };

function say(text) { $("message").textContent = text; }

function cell(row, text, small) {
  const td = row.insertCell();
  td.textContent = text;
  if (small) {
    const s = document.createElement("small");
    s.textContent = small;
    td.append(s);
  }
  return td;
}

function party(p) {
  if (p.aor?.startsWith("h:")) return "someone (not kept)";
  return p.name || p.number || p.aor || "unknown";
}

const conversations = new Map(); // the last row of each that is shown

function show(r) {
  const row = rows.insertRow();
  const before = r.conversation && conversations.get(r.conversation);
  if (before) {
    before.after(row);
    row.className = "part";
  }
  conversations.set(r.conversation, row);
  cell(row, when(r.started_at)).className = "number";
  cell(row, r.state === "not_recorded" ? "" : length(r.duration_ms)).className = "number";
  cell(row, (r.participants || []).map(party).join(", "), r.src && `by ${r.src}`);
  cell(row, states[r.state] || r.state, r.pauses.count ? `${r.pauses.count} pause${r.pauses.count > 1 ? "s" : ""}` : "");
  cell(row, r.rule || "default", [reasons[r.reason], r.class].filter(Boolean).join(", "));
  cell(row, when(r.locked_until), r.locked_until ? r.lock_mode.toLowerCase() : "");
  const td = row.insertCell();
  if (r.state === "locked" || r.state === "stored") {
    const b = document.createElement("button");
    b.textContent = "Listen";
    b.setAttribute("aria-label", `Listen to the call of ${when(r.started_at)}`);
    b.addEventListener("click", () => play(r));
    td.append(b);
  }
}

function heard(channel) {
  const who = [...new Set(channel.participants.map((p) => p.name || p.aor).filter(Boolean))];
  return who.join(", ") || `stream ${channel.label}`;
}

function play(r) {
  $("playing").textContent = `${when(r.started_at)}: ${(r.channels || []).map((c) => `channel ${c.index + 1}: ${heard(c)}`).join(", ")}`;
  $("player").hidden = false;
  $("audio").src = `api/v1/recordings/${encodeURIComponent(r.id)}/audio`;
  $("audio").play().catch(() => {}); // the browser may want a click on the player itself
}

async function load(more) {
  const filters = new URLSearchParams([...new FormData($("search"))].filter(([, v]) => v));
  if (more) filters.set("after", next);
  const answer = await fetch(`api/v1/recordings?${filters}`);
  if (answer.status === 401) return ask();
  const body = await answer.json();
  if (!answer.ok) return say(body.detail);
  if (!more) {
    rows.replaceChildren();
    conversations.clear();
  }
  body.recordings.forEach(show);
  next = body.next;
  $("more").hidden = !next;
  $("login").hidden = true;
  $("search").hidden = $("recordings-title").hidden = $("recordings").hidden = false;
  say(rows.rows.length ? "" : "No recording matches.");
  if (!more) watch(ask);
}

function ask() {
  $("login").hidden = false;
  $("search").hidden = $("recordings-title").hidden = $("recordings").hidden = true;
}

async function login(token) {
  const answer = await fetch("api/v1/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) {
    ask();
    return say("This token is not right.");
  }
  say("");
  await load();
}

const guard = (f) => (...args) => f(...args).catch(() => say("The server does not answer. Try again."));
$("login").addEventListener("submit", guard(async (e) => { e.preventDefault(); await login(new FormData(e.target).get("token").trim()); }));
$("search").addEventListener("submit", guard(async (e) => { e.preventDefault(); await load(); }));
$("more").addEventListener("click", guard(() => load(true)));

// A link may carry the token behind the hash sign, which no browser sends to a server.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  history.replaceState(null, "", location.pathname);
  guard(login)(token);
} else {
  guard(load)();
}
