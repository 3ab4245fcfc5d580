// Two plots as inline SVG, drawn for the width at hand: her trajectory with the change found, and her peers.
import { byId, draw, make, table } from "./elements.js";
import { phrase, word } from "./words.js";

// a box that is not laid out yet has no width
const widthOf = (box) => Math.max(box.clientWidth, 240);

const HEIGHT = 230, LEFT = 46, RIGHT = 16, TOP = 18, BOTTOM = 30;

function timeAgo(days) {
  if (days < 1) return word("now");
  if (days < 28) return `${Math.round(days)} ${word("daysAgo")}`;
  if (days < 120) return `${Math.round(days / 7)} ${word("weeksAgo")}`;
  return `${Math.round(days / 30.44)} ${word("monthsAgo")}`;
}

function changeText(t) {
  if (!t.change) return word("tooFew");
  const c = t.change;
  const by = c.direction === "steady" ? "" : ` ${Math.abs(c.difference).toFixed(t.decimals)} ${t.unit}`;
  const z = Math.abs(c.z).toFixed(1);
  return `${t.label}: ${word(c.direction)}${by} ${phrase("over", { days: c.days })}; ${phrase(c.outside ? "outsideBand" : "insideBand", { z })}`;
}

export function showTrajectories(trajectories) {
  const box = byId("trajectory");
  if (!trajectories.length) {
    box.replaceChildren(make("p", { class: "hint" }, word("noTrajectory")));
    return;
  }
  const plot = make("div");
  const buttons = trajectories.map((t) => make("button", {
    type: "button", class: "quiet", "aria-pressed": "false", onclick: (event) => choose(t, event.currentTarget),
  }, t.change?.outside ? `${t.label} ${t.change.z > 0 ? "▲" : "▼"}` : t.label));
  const choose = (t, button) => {
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    plot.replaceChildren(
      make("p", { class: t.change?.outside ? "found outside" : "found" }, changeText(t)),
      trajectory(t, widthOf(box)),
      make("p", { class: "hint" }, t.band ? word("ownBand") : ""),
      make("details", {}, make("summary", {}, word("valuesTable")),
        table(t.label, [{ name: word("when") }, { name: `${word("value")} ${t.unit}`, number: true }],
          [...t.points].reverse().map((p) => [timeAgo(p.days), p.value.toFixed(t.decimals)]))),
    );
  };
  box.replaceChildren(make("div", { class: "tabs", role: "group", "aria-label": word("trajectory") }, ...buttons), plot);
  choose(trajectories[0], buttons[0]);
  observed(box, () => choose(trajectories[buttons.findIndex((b) => b.getAttribute("aria-pressed") === "true")], buttons.find((b) => b.getAttribute("aria-pressed") === "true")));
}

// one observer a box: a plot is drawn again when its width has changed
const observers = new Map();
function observed(box, again) {
  observers.get(box)?.disconnect();
  let width = box.clientWidth;
  const observer = new ResizeObserver(() => {
    if (box.clientWidth !== width && box.clientWidth > 0) {
      width = box.clientWidth;
      again();
    }
  });
  observer.observe(box);
  observers.set(box, observer);
}

function ticks(low, high) {
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high + 1e-9; v += step) out.push(Number(v.toFixed(6)));
  return out;
}

function trajectory(t, width) {
  const values = t.points.map((p) => p.value).concat(t.band ? [t.band.low, t.band.high] : []);
  const pad = Math.max((Math.max(...values) - Math.min(...values)) * 0.08, 0.5);
  const low = Math.min(...values) - pad, high = Math.max(...values) + pad;
  const oldest = Math.max(...t.points.map((p) => p.days), 7);
  const x = (days) => LEFT + (1 - days / oldest) * (width - LEFT - RIGHT);
  const y = (v) => TOP + (1 - (v - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const last = t.points[t.points.length - 1];
  const svg = draw("svg", { class: "plot", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${changeText(t)}. ${t.points.length} × ${t.label}` });
  if (t.band) {
    svg.append(draw("rect", { class: "band", x: LEFT, width: width - LEFT - RIGHT, y: y(t.band.high), height: y(t.band.low) - y(t.band.high) }));
    svg.append(draw("line", { class: "mean", x1: LEFT, x2: width - RIGHT, y1: y(t.band.mean), y2: y(t.band.mean) }));
  }
  for (const v of ticks(low, high)) {
    svg.append(draw("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: y(v), y2: y(v) }), draw("text", { x: LEFT - 6, y: y(v) + 4, "text-anchor": "end" }, v));
  }
  svg.append(draw("text", { x: LEFT, y: HEIGHT - 8 }, timeAgo(oldest)), draw("text", { x: width - RIGHT, y: HEIGHT - 8, "text-anchor": "end" }, word("now")));
  svg.append(draw("path", { class: "line", d: t.points.map((p, i) => `${i ? "L" : "M"}${x(p.days).toFixed(1)} ${y(p.value).toFixed(1)}`).join("") }));
  for (const p of t.points) svg.append(draw("circle", { class: "dot", cx: x(p.days), cy: y(p.value), r: 3.5 }));
  const changed = Boolean(t.change?.outside);
  svg.append(draw("circle", { class: changed ? "changed" : "dot", cx: x(last.days), cy: y(last.value), r: 6 }));
  // beside the last point, on the side the line does not come from
  const before = t.points[t.points.length - 2] ?? last;
  const shift = before.value > last.value ? 14 : -10;
  svg.append(draw("text", { class: "value", x: x(last.days) - 8, y: y(last.value) + shift, "text-anchor": "end" }, `${last.value.toFixed(t.decimals)} ${t.unit}`));
  return svg;
}

export function showPeers(peers) {
  const box = byId("peers");
  if (!peers.count) {
    box.replaceChildren(make("p", {}, phrase("noPeers", { k: peers.k })));
    return;
  }
  const hint = peers.outcomes.length ? make("p", { class: "hint" }, phrase("peersHint", { n: peers.count, k: peers.k })) : "";
  const unstated = peers.unstated.length ? make("p", { class: "hint" }, phrase("peersUnstated", { outcomes: peers.unstated.join("; ") })) : "";
  const shares = peers.outcomes.filter((o) => o.unit === "%"), means = peers.outcomes.filter((o) => o.unit !== "%");
  const again = () => box.replaceChildren(hint, shares.length ? bars(shares, widthOf(box)) : "", ...means.map((o) => make("p", {}, `${o.label}: ${o.value} ${o.unit}`)), unstated);
  again();
  observed(box, again);
}

function bars(outcomes, width) {
  const ROW = 42, left = 0, right = 54;
  const said = outcomes.map((o) => `${o.label}: ${o.value} %`).join("; ");
  const svg = draw("svg", { class: "plot", viewBox: `0 0 ${width} ${outcomes.length * ROW}`, role: "img", "aria-label": said });
  outcomes.forEach((o, i) => {
    const y = i * ROW, full = width - left - right;
    svg.append(
      draw("text", { x: left, y: y + 14 }, o.label),
      draw("rect", { class: "bar-ground", x: left, y: y + 20, width: full, height: 12, rx: 3 }),
      draw("rect", { class: "bar", x: left, y: y + 20, width: (full * Math.min(o.value, 100)) / 100, height: 12, rx: 3 }),
      draw("text", { class: "value", x: left + full + 8, y: y + 31 }, `${o.value} %`),
    );
  });
  return svg;
}
