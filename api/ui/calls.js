// The calls that go on now. They are asked for as long as somebody can see the page.
const $ = (id) => document.getElementById(id);
const body = $("calls").tBodies[0];
const every = 2000; // ms
const lost = "The server does not answer. Try again.";
const states = { recording: "being recorded", held: "held until it is known whether it may be kept", paused: "paused", waiting: "waiting, nothing is kept", not_recorded: "not recorded" };
const wills = { informed: "informed", consented: "consented", objected: "objected", withdrawn: "took the consent back" };
const shown = new Map(); // id of a call → its row
let timer = 0;
let whenAsked = () => {};

function name(p) {
  const will = wills[p.consent];
  return (p.name || p.number || p.aor || "unknown") + (will ? ` (${will})` : "");
}

async function act(call, deed, sent) {
  const answer = await fetch(`api/v1/calls/${encodeURIComponent(call.id)}/${deed}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(sent),
  });
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  if (told.applicable === false) throw new Error(`The recording goes on: ${told.answer || told.reason}`);
  return { pause: "The recording is paused.", resume: "The pause is over.", private: "The call is off the record." }[deed];
}

function button(row, call, deed, text, sent) {
  const b = document.createElement("button");
  b.type = "button";
  b.textContent = text;
  b.dataset.deed = deed;
  b.addEventListener("click", async () => {
    if (deed === "private" && !confirm("Take this call off the record, for everybody in it? What was recorded of it may be destroyed.")) return;
    b.disabled = true;
    try {
      $("calls-message").textContent = await act(call, deed, sent());
    } catch (e) {
      $("calls-message").textContent = e instanceof TypeError ? lost : e.message;
    }
    await look();
  });
  row.cells[4].append(b);
}

function newRow(call) {
  const row = body.insertRow();
  for (let i = 0; i < 5; i++) row.insertCell();
  row.cells[0].className = "number";
  button(row, call, "pause", "Pause", () => ({ reason: $("why").value }));
  button(row, call, "resume", "Resume", () => ({}));
  button(row, call, "private", "Private call", () => ({}));
  shown.set(call.id, row);
  return row;
}

// show changes what has changed and nothing else, so that the keyboard stays where it is.
function show(call) {
  const row = shown.get(call.id) || newRow(call);
  const parties = call.parties.map(name).join(", ") || "nobody is named";
  const texts = [
    new Date(call.started_at).toLocaleTimeString(), parties,
    (states[call.state] || call.state) + (call.paused ? ` (${call.paused})` : ""), [call.class, call.rule].filter(Boolean).join(", "),
  ];
  texts.forEach((text, i) => { if (row.cells[i].textContent !== text) row.cells[i].textContent = text; });
  const usable = { pause: call.state !== "paused" && call.state !== "not_recorded", resume: call.state === "paused", private: call.state !== "not_recorded" };
  for (const b of row.cells[4].children) {
    b.disabled = !usable[b.dataset.deed];
    b.setAttribute("aria-label", `${b.textContent}: ${parties}`);
  }
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const answer = await fetch("api/v1/calls?watch=true");
    if (answer.status === 401) {
      $("now").hidden = true;
      return whenAsked();
    }
    if (answer.status === 501) return;
    const { calls } = await answer.json();
    calls.forEach(show);
    const ids = new Set(calls.map((c) => c.id));
    for (const [id, row] of shown) {
      if (ids.has(id)) continue;
      row.remove();
      shown.delete(id);
    }
    $("now").hidden = false;
    if ($("calls-message").textContent === lost) $("calls-message").textContent = "";
    $("no-calls").hidden = calls.length > 0;
    $("calls").hidden = !calls.length;
  } catch {
    $("calls-message").textContent = lost;
  }
  clearTimeout(timer); // another look may have ended meanwhile
  timer = setTimeout(look, every);
}

// watch begins to show the calls; ask is called when the token is needed again.
export function watch(ask) {
  whenAsked = ask;
  return look();
}
document.addEventListener("visibilitychange", () => { if (!$("now").hidden) look(); });
