// The right end of the top bar: connection, clock, alerts, replay, pause, zone, theme, keys, person.

import { PEOPLE, Problem, gate, request } from "../api.js";
import { h, icon, setText } from "../dom.js";
import { duration, moment } from "../format.js";

const ICONS = {
  bell: "M6 9a6 6 0 0 1 12 0c0 6 2 7 2 7H4s2-1 2-7M10 20a2 2 0 0 0 4 0", clock: "M3 12a9 9 0 1 0 3-6.7M3 4v5h5M12 8v4l3 2",
  pause: "M8 5v14M16 5v14", play: "M7 4l13 8-13 8z", theme: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18", help: "M9 9a3 3 0 1 1 4 2.8c-.8.4-1 .9-1 1.7M12 17.5v.1", person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M5 20a7 7 0 0 1 14 0",
};
const KEYS = [["1 – 5", "scoreboard, execution, exposure, health, metric"], ["[ and ]", "shorter and longer window"], ["s", "strategy"], ["c", "account"], ["a", "alerts"], ["p", "pause and resume"], ["r", "replay a past moment"], ["l", "back to live"], ["u", "UTC or local time"], ["t", "light, dark, auto"], ["Esc", "close, then clear the filters"], ["← →", "move the cross-hair in a chart"], ["?", "this list"]];
const THEMES = ["auto", "light", "dark"];

/** @param {import("../main.js").App} app */
export function tools(app) {
  const { store, live } = app;
  const state = h("span.link-state", { role: "status", "data-state": "connecting" }, "connecting");
  const clock = h("span.clock", { "aria-hidden": "true" });
  const count = h("span");
  const alerts = h("button.tool", { type: "button", "aria-label": "Alerts", onclick: () => app.toggleAlerts() }, icon(ICONS.bell), count);
  count.style.display = "inline";
  const replay = h("button.tool", { type: "button", "aria-label": "Replay a past moment", title: "Replay (r)", onclick: () => openReplay() }, icon(ICONS.clock));
  const pause = h("button.tool", { type: "button", "aria-label": "Pause", title: "Pause (p)", onclick: () => app.togglePause() }, icon(ICONS.pause));
  const zone = h("button.tool", { type: "button", title: "UTC or local time (u)", onclick: () => app.toggleZone() });
  const theme = h("button.tool", { type: "button", onclick: () => app.nextTheme() }, icon(ICONS.theme));
  const help = h("button.tool", { type: "button", "aria-label": "Keyboard shortcuts", title: "Keys (?)", onclick: () => helpDialog.showModal() }, icon(ICONS.help));
  const person = h("button.tool", { type: "button", hidden: true, onclick: signOut }, icon(ICONS.person));
  document.getElementById("tools").append(state, clock, alerts, replay, pause, zone, theme, person, help);

  const helpDialog = closable(h("dialog", { "aria-labelledby": "keys" }, h("h2", { id: "keys" }, "Keyboard shortcuts"), h("dl.keys", {}, ...KEYS.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])), h("p.actions", {}, h("button.button", { type: "button", onclick: () => helpDialog.close() }, "Close"))));
  const at = h("input", { type: "datetime-local", step: 1, required: true, name: "at" });
  const note = h("p.muted");
  const replayDialog = closable(h("dialog", { "aria-labelledby": "replay" }, h("h2", { id: "replay" }, "Replay a past moment"), h("form.sheet", { onsubmit: (event) => {
    event.preventDefault();
    const value = at.value.length === 16 ? `${at.value}:00` : at.value;
    const moment = new Date(store.state.tz === "utc" ? `${value}Z` : value);
    if (moment > live.now()) {
      note.textContent = "That moment lies in the future.";
      return;
    }
    replayDialog.close();
    store.set({ as_of: moment.toISOString() });
  } }, h("label", {}, "Moment", at), note,
  h("div.actions", {}, ...[["5 min ago", 300], ["1 h ago", 3600], ["1 d ago", 86400], ["1 week ago", 604800]].map(([name, seconds]) => h("button.button.small", { type: "button", onclick: () => {
    replayDialog.close();
    store.set({ as_of: new Date(Math.floor((live.now() - seconds * 1000) / 1000) * 1000).toISOString() });
  } }, name))),
  h("div.actions", {}, h("button.button.primary", { type: "submit" }, "Show it"), h("button.button", { type: "button", onclick: () => replayDialog.close() }, "Cancel")))));
  const key = h("input", { type: "password", required: true, autocomplete: "current-password", name: "key" });
  const told = h("p.neg", { role: "alert" });
  const signIn = h("dialog", { "aria-labelledby": "sign-in" }, h("h2", { id: "sign-in" }, "Sign in"), h("form.sheet", { onsubmit: async (event) => {
    event.preventDefault();
    told.textContent = "";
    try {
      await request(PEOPLE.session, {}, { method: "POST", body: { key: key.value } });
      location.reload();
    } catch (error) {
      told.textContent = `${error.message} ${error.remedy || ""}`;
      key.select();
    }
  } }, h("p.muted", {}, "This server wants an API key. It is kept in a cookie that scripts cannot read."), h("input", { type: "text", name: "username", autocomplete: "username", hidden: true, value: "api-key" }), h("label", {}, "Key", key), told, h("div.actions", {}, h("button.button.primary", { type: "submit" }, "Sign in"))));
  document.body.append(helpDialog, replayDialog, signIn);

  gate.addEventListener("closed", () => signIn.open || signIn.showModal());
  session();

  async function session() {
    try {
      const found = await request(PEOPLE.session);
      person.hidden = !found.authentication;
      person.title = `Signed in as ${found.name} (${found.scopes.join(", ")}); click to sign out`;
      person.setAttribute("aria-label", `Sign out ${found.name}`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 401) signIn.open || signIn.showModal();
    }
  }
  async function signOut() {
    await request(PEOPLE.session, {}, { method: "DELETE" });
    location.reload();
  }
  function openReplay() {
    const now = new Date(app.isPast ? store.state.as_of : live.now() - 3_600_000);
    const shifted = store.state.tz === "utc" ? now : new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
    at.value = shifted.toISOString().slice(0, 19);
    note.textContent = `Every view as it was, in ${store.state.tz === "utc" ? "UTC" : "local time"}.`;
    replayDialog.showModal();
  }
  function closable(dialog) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    return dialog;
  }

  return {
    help: () => helpDialog.showModal(),
    replay: openReplay,
    update() {
      const { isPast } = app;
      const since = (Date.now() - live.state.since) / 1000;
      const shown = isPast ? "replay" : live.isPaused ? "paused" : live.state.state;
      state.dataset.state = shown;
      setText(state, { live: "live", connecting: "connecting", waiting: `cut off ${duration(since)}`, paused: live.heldBack ? `paused, ${live.heldBack} behind` : "paused", replay: "replay", closed: "closed" }[shown]);
      state.title = shown === "waiting" ? `${live.state.why}; it is tried again by itself` : live.kind === "worker" ? "One connection for all tabs" : "One connection for all tabs, held by one of them";
      setText(clock, `${moment(live.now(), store.state.tz, "second")} ${store.state.tz === "utc" ? "UTC" : "local"}`);
      const open = app.alerts().filter((alert) => alert.state !== "resolved").length;
      setText(count, open ? String(open) : "");
      alerts.setAttribute("aria-label", open ? `Alerts, ${open} open` : "Alerts, none open");
      alerts.style.color = open ? "var(--crit)" : "";
      document.title = `${open ? `(${open}) ` : ""}${app.title} · Quant control plane`;
      pause.setAttribute("aria-pressed", String(live.isPaused));
      pause.setAttribute("aria-label", live.isPaused ? "Resume" : "Pause");
      if (pause.dataset.shown !== String(live.isPaused)) {
        pause.dataset.shown = String(live.isPaused);
        pause.replaceChildren(icon(live.isPaused ? ICONS.play : ICONS.pause));
      }
      setText(zone, store.state.tz === "utc" ? "UTC" : "Local");
      theme.title = `Theme: ${store.state.theme} (t)`;
      theme.setAttribute("aria-label", `Theme: ${store.state.theme}`);
      replay.setAttribute("aria-pressed", String(isPast));
    },
    nextTheme: () => THEMES[(THEMES.indexOf(store.state.theme) + 1) % THEMES.length],
  };
}
