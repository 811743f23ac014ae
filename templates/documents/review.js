// The review page: fetches one picture and its answers at a time, saves each change at once. All text is set through
// textContent and value: a name or an answer is never markup.
"use strict";

const $ = (id) => document.getElementById(id);
const GENERAL = "general";
const LARGER = 4; // times that a small picture is enlarged at most
const AGAIN = 2000; // milliseconds until an unsaved change is tried once more
const page = { fields: new Map(), ids: [], reviewed: new Set(), at: 0, image: null, undo: [], queue: [], sending: false };

function make(tag, { text, ...rest } = {}, ...inside) {
  const element = Object.assign(document.createElement(tag), rest);
  if (text !== undefined) element.textContent = text;
  element.append(...inside.filter(Boolean));
  return element;
}

function say(text, isBad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", isBad);
}

async function get(path) {
  const reply = await fetch(path);
  const told = await reply.json();
  if (!reply.ok) throw new Error(told.error || reply.statusText);
  return told;
}

// --- which pictures ------------------------------------------------------------------------------------------

const only = () => $("attribute").value;

function query() {
  const asked = new URLSearchParams();
  for (const id of ["doubt", "attribute", "class", "finding"]) if ($(id).value) asked.set(id, $(id).value);
  if ($("doubt").value === "unsure") asked.set("below", $("below").value || page.unsure);
  if ($("order").value) asked.set("seed", $("seed").value || "0");
  return asked;
}

async function list({ keep } = {}) {
  $("below-label").hidden = $("doubt").value !== "unsure";
  $("seed-label").hidden = !$("order").value;
  const asked = query();
  const told = await get(`images?${asked}`);
  const before = page.image && page.image.id;
  page.ids = told.ids;
  page.reviewed = new Set(told.reviewed);
  const place = page.ids.indexOf(keep ?? before);
  const first = page.ids.findIndex((id) => !page.reviewed.has(id));
  await show(place >= 0 ? place : Math.max(0, first));
  const n = page.ids.length;
  say(n ? `${n.toLocaleString("en")} ${n === 1 ? "picture" : "pictures"} to look at` : "No picture is like that: change the filter");
}

async function show(place) {
  page.at = place;
  const id = page.ids[place];
  tell();
  if (id === undefined) {
    page.image = null;
    $("answers").replaceChildren();
    $("picture").hidden = true;
    $("caption").textContent = "";
    return;
  }
  address(id);
  const wanted = await get(`image/${id}?class=${$("with-class").checked ? 1 : 0}`);
  if (page.ids[page.at] !== id) return; // somebody was faster than the server
  const isOther = !page.image || page.image.id !== id;
  page.image = wanted;
  if (isOther) picture(id);
  caption();
  draw(isOther);
  tell();
}

/** So that a reload, or another tab, shows the same picture among the same ones. */
function address(id) {
  const asked = String(query());
  history.replaceState(null, "", `${location.pathname}${asked ? `?${asked}` : ""}#${id}`);
}

function picture(id) {
  const shown = $("picture");
  shown.onload = () => {
    shown.style.maxWidth = `min(100%, ${LARGER * shown.naturalWidth}px)`;
    shown.style.maxHeight = `min(100%, ${LARGER * shown.naturalHeight}px)`;
    shown.hidden = false; 
    $("no-picture").hidden = true;
  };
  shown.onerror = async () => {
    shown.hidden = true;
    $("no-picture").hidden = false;
    $("no-picture").textContent = await get(`picture/${id}`).then(() => "This picture cannot be shown", (error) => error.message);
  };
  shown.src = `picture/${id}`;
  shown.alt = `Picture ${id}`;
  const following = page.ids[page.at + 1];
  if (following !== undefined) new Image().src = `picture/${following}`;
}

function caption() {
  const { path, split, copies } = page.image;
  const parts = path === undefined ? [`Picture ${page.image.id}; path and class are hidden`] : [page.image.class, split, path];
  if (copies) parts.push(`${copies + 1} files show it`);
  $("caption").textContent = parts.join(" · ");
  if (path !== undefined) $("picture").alt = path;
}

function tell() {
  const n = page.ids.length;
  const done = page.ids.filter((id) => page.reviewed.has(id)).length;
  const id = page.ids[page.at];
  $("place").textContent = n ? `${(page.at + 1).toLocaleString("en")} of ${n.toLocaleString("en")}${page.reviewed.has(id) ? ", reviewed" : ""}` : "";
  $("progress").max = Math.max(1, n);
  $("progress").value = done;
  $("done").textContent = `${done.toLocaleString("en")} reviewed`;
  $("previous").disabled = page.at <= 0;
  $("next").disabled = page.at >= n - 1;
  $("unreviewed").disabled = done >= n;
  $("confirm").disabled = !n;
  $("undo").disabled = !page.undo.length;
}

const turn = async (by) => { const place = page.at + by; if (place >= 0 && place < page.ids.length) { leave(); await show(place); } };

async function nextUnreviewed() {
  leave();
  for (let step = 1; step <= page.ids.length; step++) {
    const place = (page.at + step) % page.ids.length;
    if (!page.reviewed.has(page.ids[place])) return show(place);
  }
  say("All of these are reviewed");
}

// --- the answers ---------------------------------------------------------------------------------------------

const shownAnswers = () => page.image.answers.filter((answer) => !only() || answer.name === only() || answer.name === GENERAL);

/** Who gave most of the answers: told once, above them. */
function usual() {
  const counts = new Map();
  for (const { model } of page.image.answers) if (model) counts.set(model, (counts.get(model) || 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1])[0]?.[0];
}

function draw(isOther) {
  page.usual = usual();
  const rows = shownAnswers().map((answer) => {
    const old = isOther ? null : $(`row-${answer.name}`);
    if (old && old.contains(document.activeElement) && field(answer.name).value !== field(answer.name).dataset.saved) return old;
    return row(answer);
  });
  const focused = document.activeElement.id;
  $("by").textContent = page.usual ? `by ${page.usual}` : "";
  $("answers").replaceChildren(...rows);
  if (!isOther && focused && $(focused)) $(focused).focus();
}

const field = (name) => $(`field-${name}`);

function row(answer) {
  const about = page.fields.get(answer.name);
  const isHuman = answer.written !== null;
  const id = `field-${answer.name}`;
  const line = make("div", { className: "row" }, input(about, answer, id));
  if (answer.name !== GENERAL) {
    line.append(button("not visible", `${about.words}: not visible`, () => change({ [answer.name]: page.notVisible }), answer.value === page.notVisible && isHuman));
  }
  if (isHuman) line.append(button("take back", `${about.words}: take my value back`, () => change({ [answer.name]: null })));
  else if (answer.value !== null) line.append(button("right", `${about.words}: confirm`, () => change({ [answer.name]: answer.value })));
  if (answer.reply) line.append(raw(answer.reply));
  const element = make("li", { id: `row-${answer.name}` },
    make("p", { className: "question" },
      make("label", { htmlFor: id, text: about.words }), " ",
      make("span", { className: "small", id: `${id}-question`, text: about.question })),
    line, told(answer), make("p", { className: "wrong", id: `${id}-wrong`, hidden: true }));
  element.classList.toggle("human", isHuman);
  element.classList.toggle("doubt", Boolean(answer.disagree) && !isHuman);
  return element;
}

function button(text, label, act, disabled = false) {
  return make("button", { type: "button", text, ariaLabel: label, onclick: act, disabled });
}

function input(about, answer, id) {
  const value = answer.value ?? "";
  let element;
  if (about.options.length) {
    element = make("select", { id });
    const known = about.options.includes(value) || value === "" ? [] : [value];
    for (const option of ["", ...about.options, ...known]) {
      const text = option === "" ? "—" : known.includes(option) ? `${option} (not in the list)` : option;
      element.append(make("option", { value: option, text, disabled: known.includes(option) }));
    }
  } else if (about.name === GENERAL) {
    element = make("textarea", { id, maxLength: 4000 });
  } else {
    element = make("input", { id, type: "text", maxLength: 400, autocomplete: "off" });
    element.setAttribute("list", `values-${about.name}`);
    element.placeholder = value ? "" : "no answer";
  }
  element.value = value;
  element.dataset.saved = value;
  element.dataset.name = about.name;
  element.setAttribute("aria-describedby", `${id}-question ${id}-wrong`);
  element.onchange = () => save(element);
  return element;
}

function told(answer) {
  const parts = [];
  if (answer.written !== null) {
    const same = answer.written === answer.machine;
    parts.push(make("span", { className: "mine", text: `${same ? "confirmed" : "corrected"} by ${answer.author || "somebody"}` }));
    if (!same) parts.push(make("span", {}, "machine: ", make("b", { text: answer.machine ?? "no answer" })));
  }
  if (answer.model && answer.model !== page.usual) parts.push(make("span", { text: `by ${answer.model}` }));
  if (answer.confidence !== null && answer.confidence !== undefined) parts.push(make("span", { text: `${Math.round(100 * answer.confidence)} % sure` }));
  if (answer.others.length) {
    const again = answer.disagree ? `asked again, it said: ${answer.others.join(" / ")}` : "asked again, it said the same";
    parts.push(make("span", { className: answer.disagree ? "unlike" : "", text: again }));
  }
  return parts.length ? make("div", { className: "told small" }, ...parts) : null;
}

function raw(reply) {
  const inside = make("div");
  const details = make("details", {}, make("summary", { text: "reply" }), inside);
  details.ontoggle = async () => {
    if (!details.open || inside.childElementCount) return;
    try {
      const said = await get(`reply/${reply}`);
      const parts = [["said", said.text], ["said at first", said.rejected], ["asked", said.prompt], ["system", said.system]];
      for (const [word, text] of parts) if (text) inside.append(make("div", { text: `${word}:` }), make("pre", { text }));
      inside.append(make("div", { text: `${said.model || said.backend}, ${said.outcome}, ${said.created}` }));
    } catch (error) {
      inside.append(make("div", { text: error.message }));
    }
  };
  return details;
}

// --- saving --------------------------------------------------------------------------------------------------

const valueOf = (name) => page.image.answers.find((answer) => answer.name === name);

function save(element) {
  const value = element.value.trim().replace(/\s+/g, " ");
  if (value === element.dataset.saved) return;
  element.dataset.saved = value;
  change({ [element.dataset.name]: value || null });
}

function leave() {
  const element = document.activeElement;
  if (element && element.dataset && element.dataset.name) save(element);
}

function change(changes, { isUndo = false } = {}) {
  const image = page.image.id;
  const was = {}, before = {};
  for (const name of Object.keys(changes)) {
    was[name] = valueOf(name).value;
    before[name] = valueOf(name).written;
  }
  enqueue({ image, changes, was, before, isUndo });
}

function enqueue(job) {
  page.queue.push(job);
  for (const name of Object.keys(job.changes)) $(`row-${name}`)?.classList.add("pending");
  send();
}

async function send() {
  if (page.sending || !page.queue.length) return;
  page.sending = true;
  const job = page.queue[0];
  let again = 0;
  try {
    const reply = await fetch("answers", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ image: job.image, changes: job.changes, was: job.was, within: only() || null }),
    });
    const said = await reply.json();
    if (reply.status === 423) {
      again = AGAIN;
      say(`Not saved yet: ${said.error}. It is tried again until that has ended; keep this page open`, true);
    } else {
      page.queue.shift();
      reply.ok ? saved(job, said) : refused(job, said, reply.status);
    }
  } catch {
    again = AGAIN;
    say(`${page.queue.length} not saved: fgvr-kit does not answer. Keep this page open; it is tried again`, true);
  }
  page.sending = false;
  again ? setTimeout(send, again) : send();
}

function saved(job, said) {
  if (!job.isUndo) page.undo.push({ image: job.image, before: job.before });
  for (const id of said.ids) said.reviewed ? page.reviewed.add(id) : page.reviewed.delete(id);
  refresh(job.image, said.image);
  tell();
  if (!page.queue.length) say("Saved");
}

function refused(job, said, status) {
  if (said.image) refresh(job.image, said.image, true);
  const name = (said.conflict || Object.keys(job.changes))[0];
  const wrong = page.image && page.image.id === job.image && $(`field-${name}-wrong`);
  const text = said.conflict ? `Somebody else has written here meanwhile; yours was: ${job.changes[name] ?? "(empty)"}` : said.error;
  say(status === 403 ? "Not saved: this page is of an earlier session. Open the address that fgvr-kit prints now" : `Not saved. ${text}`, true);
  if (wrong) {
    wrong.textContent = text;
    wrong.hidden = false;
    field(name).setAttribute("aria-invalid", "true");
  }
}

function refresh(image, fresh, isForced = false) {
  if (!page.image || page.image.id !== image) return;
  // Later changes of this image expect to find what this one has written.
  for (const job of page.queue) {
    if (job.image !== image) continue;
    for (const name of Object.keys(job.changes)) {
      const now = fresh.answers.find((answer) => answer.name === name);
      job.was[name] = now.value;
      job.before[name] = now.written;
    }
  }
  page.image = { ...page.image, answers: fresh.answers };
  if (isForced) document.activeElement.blur();
  draw(false);
  for (const job of page.queue) for (const name of Object.keys(job.changes)) $(`row-${name}`)?.classList.add("pending");
}

async function confirm() {
  if (!page.image) return;
  leave();
  const open = shownAnswers().filter((answer) => answer.name !== GENERAL && answer.written === null);
  const waiting = new Set(page.queue.filter((job) => job.image === page.image.id).flatMap((job) => Object.keys(job.changes)));
  const empty = open.find((answer) => answer.value === null && !waiting.has(answer.name));
  if (empty) {
    field(empty.name).focus();
    return say(`${page.fields.get(empty.name).words} has no answer: write one, or “not visible”`, true);
  }
  const changes = Object.fromEntries(open.filter((answer) => !waiting.has(answer.name)).map((answer) => [answer.name, answer.value]));
  if (Object.keys(changes).length) change(changes);
  page.reviewed.add(page.image.id); // the server's word follows
  await nextUnreviewed();
}

async function undo() {
  const last = page.undo.pop();
  if (!last) return;
  const place = page.ids.indexOf(last.image);
  if (place >= 0 && page.ids[page.at] !== last.image) await show(place);
  if (!page.image || page.image.id !== last.image) {
    page.undo.push(last);
    return say("That picture is not among those shown: change the filter", true);
  }
  change(last.before, { isUndo: true });
}

// --- keys ----------------------------------------------------------------------------------------------------

const isField = (element) => element instanceof Element && element.matches("input:not([type=checkbox]), textarea, select");

document.addEventListener("keydown", (event) => {
  const inField = isField(event.target), name = event.target.dataset?.name;
  if (event.altKey || event.metaKey) return;
  if (event.ctrlKey) { if (event.key === "Enter") { event.preventDefault(); confirm(); } return; }
  const everywhere = { PageDown: () => turn(1), PageUp: () => turn(-1) }[event.key];
  if (everywhere) { event.preventDefault(); everywhere(); return; }
  if (inField) {
    if (event.key === "Escape" && name) { event.target.value = event.target.dataset.saved; event.target.blur(); }
    if (event.key === "Enter" && name && event.target.tagName === "INPUT") { event.preventDefault(); follow(event.target); }
    return;
  }
  if (event.target.closest?.("summary, button") && [" ", "Enter"].includes(event.key)) return;
  const arrows = { ArrowRight: () => turn(1), ArrowLeft: () => turn(-1) }[event.key];
  const letters = { j: () => turn(1), k: () => turn(-1), u: nextUnreviewed, c: confirm, z: undo, e: first, s: () => $("with-class").click() };
  const act = arrows || ($("single-keys").checked ? letters[event.key.toLowerCase()] : undefined);
  if (act) { event.preventDefault(); act(); }
});

function first() {
  const answer = page.image && shownAnswers().find(({ name }) => name !== GENERAL);
  if (answer) { field(answer.name).focus(); field(answer.name).select?.(); }
}

function follow(element) {
  const names = shownAnswers().map(({ name }) => name);
  const next = names[names.indexOf(element.dataset.name) + 1];
  save(element);
  if (next) { field(next).focus(); field(next).select?.(); } else element.blur();
}

// --- the beginning -------------------------------------------------------------------------------------------

async function begin() {
  const told = await get("page");
  page.unsure = told.unsure;
  page.notVisible = told.not_visible;
  for (const about of told.attributes) {
    page.fields.set(about.name, about);
    if (about.name === GENERAL) continue;
    $("attribute").append(make("option", { value: about.name, text: about.words }));
    const values = make("datalist", { id: `values-${about.name}` });
    values.append(...about.values.map((value) => make("option", { value })));
    document.body.append(values);
  }
  told.classes.forEach((name, place) => $("class").append(make("option", { value: String(place), text: name })));
  told.kinds.forEach((kind) => $("finding").append(make("option", { value: kind, text: kind })));
  for (const option of $("doubt").options) {
    option.disabled = (option.value === "disagree" && !told.has_samples) || (option.value === "unsure" && !told.has_confidence);
  }
  $("below").value = told.unsure;
  const asked = new URLSearchParams(location.search);
  for (const id of ["doubt", "below", "attribute", "class", "finding", "seed"]) if (asked.has(id)) $(id).value = asked.get(id);
  if (asked.has("seed")) $("order").value = "random";
  if (String(asked)) unfold();
  await list({ keep: Number(location.hash.slice(1)) || undefined });
}

function unfold() {
  $("filters").hidden = !$("filters").hidden;
  $("fold").setAttribute("aria-expanded", String(!$("filters").hidden));
}

const heeding = (act) => (...args) => Promise.resolve(act(...args)).catch((error) => say(error.message === "Failed to fetch" ? "fgvr-kit does not answer: is it still running?" : error.message, true));

$("fold").onclick = unfold;
$("filters").onchange = heeding(() => list());
$("filters").onsubmit = (event) => event.preventDefault();
$("with-class").onchange = heeding(() => page.image && show(page.at));
$("previous").onclick = heeding(() => turn(-1));
$("next").onclick = heeding(() => turn(1));
$("unreviewed").onclick = heeding(nextUnreviewed);
$("confirm").onclick = heeding(confirm);
$("undo").onclick = heeding(undo);
window.addEventListener("unhandledrejection", (event) => say(event.reason?.message || "something failed", true));
window.addEventListener("beforeunload", (event) => { leave(); if (page.queue.length) event.preventDefault(); });
document.addEventListener("visibilitychange", heeding(() => {
  if (document.visibilityState === "visible" && page.image && !page.queue.length) return show(page.at); // another tab may have written
}));
heeding(begin)();
