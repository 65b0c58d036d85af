// Numbers, times and names for people. Nothing is computed here, only written.

const NONE = "–";
const PERCENT = new Set([
  "cumulative_return", "intraday_return", "volatility_annualized", "downside_volatility_annualized", "max_drawdown",
  "var_95_historical", "cvar_95_historical", "win_rate", "fill_ratio", "reject_rate", "cancel_rate",
  "route_provenance_coverage_ratio", "route_unknown_ratio", "route_fallback_ratio",
  "position_concentration_top1_pct", "position_concentration_top5_pct", "missing_price_rate", "missing_signal_rate",
]);
const TIMES = new Set(["leverage_gross_over_equity", "turnover_ratio"]);
const SIGNED = new Set([
  "realized_pnl", "unrealized_pnl", "net_pnl", "gross_pnl", "cumulative_return", "intraday_return", "avg_win", "avg_loss",
  "expectancy_per_trade", "slippage_bps_vs_mid", "implementation_shortfall_bps", "net_exposure",
]);
const LABELS = {
  net_pnl: "Net PnL", gross_pnl: "Gross PnL", realized_pnl: "Realized PnL", unrealized_pnl: "Unrealized PnL",
  cumulative_return: "Return", intraday_return: "Intraday return", cost_bps: "Fees", sharpe_annualized: "Sharpe",
  sortino_annualized: "Sortino", max_drawdown: "Max drawdown", var_95_historical: "VaR 95", cvar_95_historical: "CVaR 95",
  volatility_annualized: "Volatility", downside_volatility_annualized: "Downside volatility", trade_count: "Trades",
  drawdown_duration_minutes: "Drawdown duration", position_hhi: "HHI", leverage_gross_over_equity: "Leverage",
  position_concentration_top1_pct: "Largest position", position_concentration_top5_pct: "Largest five",
  beta_vs_benchmark: "Beta", slippage_bps_vs_mid: "Slippage vs mid", implementation_shortfall_bps: "Shortfall",
  expectancy_per_trade: "Expectancy", avg_holding_minutes: "Holding time", turnover_ratio: "Turnover",
  avg_win: "Average win", avg_loss: "Average loss", ta_freshness_seconds: "TA freshness",
  context_freshness_seconds: "Context freshness", metrics_pipeline_lag_seconds: "Pipeline lag",
  decision_to_submit_latency_ms_p50: "Decision to submit p50", decision_to_submit_latency_ms_p95: "Decision to submit p95",
  submit_to_fill_latency_ms_p50: "Submit to fill p50", submit_to_fill_latency_ms_p95: "Submit to fill p95",
  route_provenance_coverage_ratio: "Routes named", route_unknown_ratio: "Unknown routes", route_fallback_ratio: "Other route taken",
};
const REASONS = {
  no_source_rows: "nothing happened in the window", below_min_samples: "too few samples", missing_price: "no price",
  zero_denominator: "nothing to divide by", zero_variance: "no variance", out_of_session: "no session in the window",
  window_too_short: "the window is too short", no_opening_state: "the begin is not known", stale_source: "the source is behind",
  low_coverage: "too many gaps", missing_fee: "a fee is not known", clock_skew: "clocks disagree",
  nonpositive_equity: "no equity", no_watermark: "nothing was mirrored yet", session_closed: "the session is closed",
};

/** The name of a metric for people. @param {string} metric */
export function label(metric) {
  return LABELS[metric] || metric.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());
}

/** @param {string} reason */
export function reasonText(reason) {
  return REASONS[reason] || reason.replaceAll("_", " ");
}

const formats = new Map();
function digits(value, least, most = least) {
  const key = `${least}:${most}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat("en-US", { minimumFractionDigits: least, maximumFractionDigits: most });
    formats.set(key, format);
  }
  // A minus sign as wide as a plus.
  const text = format.format(value);
  return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", "");
}

function signed(value, text, wanted) {
  return wanted && value > 0 ? `+${text}` : text;
}

/** Money: with cents below a hundred thousand, else short. */
export function money(value, { sign = false, short = false } = {}) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  let text;
  if (size >= 1e9) text = `${digits(size / 1e9, 2)}B`;
  else if (size >= (short ? 1e6 : 1e7)) text = `${digits(size / 1e6, 2)}M`;
  else if (size >= (short ? 1e4 : 1e6)) text = short ? `${digits(size / 1e3, 1)}k` : digits(size, 0);
  else text = digits(size, short && size >= 1e3 ? 0 : 2);
  return `${value < 0 && /[1-9]/.test(text) ? "−" : sign && value > 0 ? "+" : ""}$${text}`;
}

export function percent(value, { sign = false, places } = {}) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value * 100);
  return signed(value, `${digits(value * 100, places ?? (size >= 100 ? 0 : size >= 10 ? 1 : size > 0 && size < 0.095 ? 3 : 2))}%`, sign);
}

/** A length of time. @param {number | null} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const size = Math.abs(seconds);
  if (size < 1) return `${Math.round(size * 1000)} ms`;
  if (size < 9.95) return `${digits(size, 1)} s`;
  if (size < 120) return `${Math.round(size)} s`;
  const minutes = Math.floor(size / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} m` : `${hours} h`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A number with few digits, for axes and counts. */
export function number(value, most = 2) {
  return value === null || value === undefined || !Number.isFinite(value) ? NONE : digits(value, 0, most);
}

/** The value of a metric with its unit. */
export function metricValue(metric, unit, value, { short = false, sign = SIGNED.has(metric) } = {}) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (unit === "USD") return money(value, { sign, short });
  if (unit === "bps") return `${signed(value, digits(value, Math.abs(value) >= 100 ? 0 : 2), sign)} bps`;
  if (unit === "ms") return value >= 9999.5 ? duration(value / 1000) : `${digits(value, 0)} ms`;
  if (unit === "seconds") return duration(value);
  if (unit === "minutes") return duration(value * 60);
  if (unit === "count") return digits(value, 0);
  if (PERCENT.has(metric)) return percent(value, { sign });
  if (TIMES.has(metric)) return `${digits(value, 2)}×`;
  return digits(value, metric === "position_hhi" ? 3 : 2);
}

/** Above or below zero where that is good or bad, else nothing. */
export function tone(metric, value) {
  if (!value || !SIGNED.has(metric) || metric === "net_exposure") return "";
  const isGood = metric.endsWith("_bps") || metric.startsWith("slippage") ? value < 0 : value > 0;
  return isGood ? "pos" : "neg";
}

const times = new Map();
function timeFormat(zone, options) {
  const key = zone + JSON.stringify(options);
  let format = times.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone === "utc" ? "UTC" : undefined, hourCycle: "h23" });
    times.set(key, format);
  }
  return format;
}

/** @param {number | string | Date} at @param {"utc" | "local"} zone @param {"time" | "second" | "day" | "full"} how */
export function moment(at, zone, how = "full") {
  if (at === null || at === undefined || at === "") return NONE;
  const options = {
    time: { hour: "2-digit", minute: "2-digit" },
    second: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
    day: { day: "2-digit", month: "short" },
    minute: { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" },
    full: { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" },
  }[how];
  return timeFormat(zone, options).format(new Date(at)).replace(",", "");
}
