"""The dashboards in a real browser over the running product."""

import csv
import io
import os
import re
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Route

from tests.e2e.browser import SECONDS, Tab, tab
from tests.e2e.feed import feeding
from tests.e2e.running import QUANT, RunningUp

pytestmark = pytest.mark.timeout(600)
# One thing of each view that is there only when its data are.
FILLED = {
    "scoreboard": ".board tbody tr",
    "execution": ".stack-bar",
    "exposure": "[aria-label='Open positions'] tbody tr",
    "health": ".stage[data-state='ok']",
    "metric": "[aria-label='What the value is made of'] tbody tr",
}


@pytest.fixture
def url(up: RunningUp) -> str:
    return f"http://127.0.0.1:{up.ports['JANGAR_QUANT_API_PORT']}"


@pytest.mark.parametrize("view", FILLED)
def test_every_view_shows_its_data_without_a_complaint(url: str, browser: Browser, view: str) -> None:
    query = f"?{urlencode({'view': view, 'account': 'paper-crypto', 'window': '1d', 'theme': 'dark'})}"
    with tab(browser, url, query) as shown:
        shown.wait_for(FILLED[view])
        shown.wait(lambda: shown.state() == "live", "the stream")
        for theme in ("dark", "light"):
            shown.page.evaluate("theme => window.quant.store.set({ theme })", theme)
            found = Axe().run(shown.page)
            grave = [
                f"{one['id']}: {one['help']} {[node['target'] for node in one['nodes']][:4]}"
                for one in found.response["violations"]
                if one["impact"] in ("serious", "critical")
            ]
            assert grave == [], theme
        # A phone shows the same without scrolling sideways.
        shown.page.set_viewport_size({"width": 390, "height": 844})
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert shown.complaints == []


def test_numbers_are_those_of_the_api_and_move_with_it(up: RunningUp, url: str, browser: Browser) -> None:
    with tab(browser, url, "?account=paper-crypto&window=20d") as shown:
        shown.wait(lambda: shown.state() == "live", "the stream")

        def is_same() -> bool:
            count = up.snapshot(account="paper-crypto", window="20d")["trade_count"]["value"]
            return shown.value("trade_count") == f"{count:,.0f}"

        shown.wait(is_same, "the number of trades of the API")
        first = shown.value("trade_count")
        # The desk goes on trading.
        shown.wait(lambda: shown.value("trade_count") != first, "another number of trades")


def test_the_address_says_what_is_looked_at(url: str, browser: Browser) -> None:
    with tab(browser, url, "?strategy=crypto-momentum&account=paper-crypto&window=1h&tz=local&theme=light") as shown:
        page = shown.page
        shown.wait(lambda: page.locator("#strategy option:checked").inner_text() == "crypto-momentum", "the strategy")
        assert page.locator("#account").input_value() == "paper-crypto"
        assert page.locator("[data-window='1h']").get_attribute("aria-pressed") == "true"
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        shown.wait(lambda: page.locator(".board tbody tr").count() == 1, "the one row")
        page.locator("#strategy").select_option(label="All strategies")
        shown.wait(lambda: page.locator(".board tbody tr").count() > 3, "all rows of the account")
        assert "strategy=" not in page.url
        page.go_back()
        shown.wait(lambda: page.locator(".board tbody tr").count() == 1, "the one row again")
        # A head sorts, and the address keeps that.
        page.go_forward()
        page.get_by_role("button", name="Trades", exact=True).click()
        shown.wait(lambda: "sort=trade_count" in page.url, "the order in the address")
        counts = [
            float(text.replace(",", "")) for text in page.locator(".board tbody td:nth-child(10)").all_inner_texts()
        ]
        assert counts == sorted(counts, reverse=True)
        assert shown.complaints == []


def test_everything_is_reached_by_keys(url: str, browser: Browser) -> None:
    with tab(browser, url, "?account=paper-crypto") as shown:
        page = shown.page
        shown.wait_for(FILLED["scoreboard"])
        for key, view in zip("2345", ("execution", "exposure", "health", "metric"), strict=True):
            page.keyboard.press(key)
            assert f"view={view}" in page.url
        page.keyboard.press("1")
        page.keyboard.press("]")
        assert "window=5d" in page.url
        page.keyboard.press("u")
        assert "tz=local" in page.url
        page.keyboard.press("t")
        assert "theme=light" in page.url
        page.keyboard.press("?")
        shown.wait_for("dialog[open] h2", "Keyboard shortcuts")
        page.keyboard.press("Escape")
        page.keyboard.press("p")
        shown.wait(lambda: shown.state() == "paused", "the pause")
        page.keyboard.press("p")
        shown.wait(lambda: shown.state() == "live", "the stream")
        page.keyboard.press("a")
        shown.wait_for(".drawer[open]")
        page.keyboard.press("Escape")
        shown.wait(lambda: not shown.has(".drawer[open]"), "the end of the drawer")
        page.keyboard.press("Escape")
        shown.wait(lambda: "account=" not in page.url, "no filter")
        assert shown.complaints == []


@pytest.mark.parametrize("link", ["worker", "locks"])
def test_tabs_share_one_connection(up: RunningUp, url: str, browser: Browser, link: str) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    asked: list[str] = []
    context.on("request", lambda request: "/stream?" in request.url and asked.append(request.frame.page.url))
    query = f"?account=paper-crypto&link={link}"
    with tab(browser, url, query, context=context) as one, tab(browser, url, query, context=context) as two:
        for each in (one, two):
            each.wait(lambda each=each: each.state() == "live", f"the stream over {link}")
            assert each.page.evaluate("window.quant.live.kind") == link
        if link == "locks":
            # The first has it for both; when it goes, the second takes over.
            assert asked
            asked.clear()
            one.page.close()
            two.wait(lambda: asked and two.state() == "live", "the connection of the other tab")
        else:
            # The worker has it, and no page.
            assert asked == []
    context.close()


def test_what_is_missing_says_why(url: str, browser: Browser) -> None:
    with tab(browser, url, "?account=paper-crypto&window=1m") as shown:
        shown.wait_for("[data-metric='sharpe_annualized'] .tile-value", "")
        shown.wait(lambda: shown.value("win_rate") or shown.value("sharpe_annualized"), "a tile")
        # Calmar needs five sessions, whatever happened.
        shown.page.evaluate("window.quant.store.set({ view: 'exposure' })")
        shown.wait(lambda: shown.value("calmar") == "no value", "no value of Calmar")
        assert shown.page.locator("[data-metric='calmar']").get_attribute("data-quality") == "insufficient_data"
        shown.wait_for("[data-metric='calmar'] .tile-sub", "○")
    with tab(browser, url, "?strategy=equity-momentum&account=paper-crypto") as shown:
        shown.wait_for(".notice strong", "Nothing here")
        shown.wait_for(".empty b", "Nothing matches this filter")
    with tab(browser, url, "?account=nobody") as shown:
        shown.wait_for(".notice", "there is no account 'nobody'")


@contextmanager
def standing_still(up: RunningUp, child: str) -> Iterator[None]:
    """A child that does nothing, as if its machine hung."""
    process = up.children()[child]
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_stale_numbers_cannot_be_mistaken(up: RunningUp, url: str, browser: Browser) -> None:
    with tab(browser, url, "?account=paper-crypto&window=1d") as shown:
        tile = shown.page.locator("[data-metric='net_pnl']")
        shown.wait(lambda: tile.get_attribute("data-quality") == "good", "good numbers")
        with standing_still(up, "mirror"):
            shown.wait(lambda: tile.get_attribute("data-quality") == "stale", "stale numbers")
            assert "▲ stale" in tile.inner_text()
            shown.wait_for(".badge[data-state='stale']", "stale")
        shown.wait(lambda: tile.get_attribute("data-quality") == "good", "good numbers again")


def test_a_restart_of_the_api_is_seen_and_survived(up: RunningUp, url: str, browser: Browser) -> None:
    with tab(browser, url, "?account=paper-crypto&window=1d") as shown:
        shown.wait(lambda: shown.state() == "live", "the stream")
        frame = "window.quant.frame().as_of"
        with standing_still(up, "mirror"):
            os.kill(up.children()["api"], signal.SIGKILL)
            shown.wait(lambda: shown.state() == "waiting", "the cut connection")
            shown.wait_for(".notice strong", "Cut off")
        before = shown.page.evaluate(frame)
        shown.wait(lambda: shown.state() == "live", "the stream again")
        shown.wait(lambda: shown.page.evaluate(frame) > before, "a newer frame")
        shown.wait(lambda: not shown.has(".notice strong", "Cut off"), "no notice")


@dataclass
class Alert:
    """An alert of the desk's account, written as the evaluation writes it."""

    up: RunningUp
    metric: str = "max_drawdown"
    strategy_id: str = ""
    alert_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    opened: datetime | None = None

    def say(self, state: str) -> None:
        """Write that it is in a state now."""
        at = datetime.now(UTC)
        self.opened = self.opened or at
        with self.up.warehouse() as warehouse:
            warehouse.command(
                "insert into quant.quant_alerts (alert_id, policy_id, policy_version, metric_name, strategy_id,"
                " account, window, severity, category, threshold, runbook, transition_at, previous_state, state,"
                " observed, opened_at, resolved_at, peak, evidence) select {id:String}, 'max_drawdown_1d', '1',"
                " {metric:String}, {strategy:String}, 'paper-crypto', '1d', 'critical', 'strategy', 0.05,"
                " 'docs/alerts.md#drawdown', {at:DateTime64(3)}, {before:String}, {state:String}, -0.06,"
                " {opened:DateTime64(3)}, if({state:String} = 'resolved', {at:DateTime64(3)}, null), -0.06,"
                " [({opened:DateTime64(3)}, -0.06)]",
                parameters={
                    "id": self.alert_id,
                    "metric": self.metric,
                    "strategy": self.strategy_id,
                    "state": state,
                    "before": "" if state == "open" else "open",
                    "at": at,
                    "opened": self.opened,
                },
            )


def test_an_alert_opens_and_ends_before_ones_eyes(up: RunningUp, url: str, browser: Browser) -> None:
    alert = Alert(up)
    state = "id => window.quant.alerts().find((one) => one.alert_id === id)?.state"
    with tab(browser, url, "?account=paper-crypto&window=1d") as shown:
        shown.wait(lambda: shown.state() == "live", "the stream")
        alert.say("open")
        shown.wait_for(".notice strong", "max_drawdown")
        shown.page.keyboard.press("a")
        shown.wait_for(".alert-card", "Max drawdown")
        shown.page.locator(".alert-card", has_text="Max drawdown").first.click()
        shown.wait_for("dl", "6.00%")
        assert f"alert={alert.alert_id}" in shown.page.url
        assert shown.page.get_by_role("button", name="Acknowledge").is_enabled()
        shown.wait_for(".history b", "open")
        # Without a reason nothing is sent.
        shown.page.get_by_role("button", name="Acknowledge").click()
        shown.wait_for("[role=status]", "Say why")
        shown.page.get_by_label("Reason").fill("looked at it")
        shown.page.get_by_role("button", name="Acknowledge").click()
        shown.wait_for(".history b", "acknowledge")
        shown.page.get_by_label("Reason").fill("known")
        shown.page.get_by_role("button", name="Silence", exact=True).click()
        shown.wait_for(".history b", "silence")
        shown.page.evaluate("window.quant.store.set({ alert: '', alerts: 'silences' })")
        shown.page.get_by_label("Reason").first.fill("over")
        shown.page.get_by_role("button", name="End it").first.click()
        shown.wait_for(".empty b", "Nothing is silent")
        alert.say("resolved")
        shown.page.evaluate("window.quant.closeAlerts()")
        shown.wait(lambda: shown.page.evaluate(state, alert.alert_id) == "resolved", "the end of the alert")
        assert shown.complaints == []


def test_an_alert_that_opens_between_two_streams_is_told(up: RunningUp, url: str, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    with tab(browser, url, "?account=paper-crypto&window=1d&link=locks", context=context) as shown:
        shown.wait_for(FILLED["scoreboard"])
        shown.wait(lambda: shown.state() == "live", "the stream")
        held: list[Route] = []
        context.route("**/stream?*", lambda route: held.append(route))
        # Other scopes need another stream, which does not get through yet.
        shown.page.evaluate("window.quant.store.set({ window: '5d' })")
        shown.wait(lambda: held, "the next stream")
        alert = Alert(up, metric="told_between")
        with tab(browser, url, "?account=paper-crypto") as other:
            other.wait(lambda: other.state() == "live", "the stream of another browser")
            alert.say("open")
            # All who listened by then have been told.
            other.wait_for(".notice strong", "told_between")
        # What was held goes on.
        context.unroute("**/stream?*")
        shown.wait_for(".notice strong", "told_between")
        alert.say("resolved")
        assert shown.complaints == []
    context.close()


def test_a_strategy_is_silenced(up: RunningUp, url: str, browser: Browser) -> None:
    strategies = up.get("/api/torghut/trading/strategies")[1]["strategies"]
    strategy_id = next(row["strategy_id"] for row in strategies if row["strategy_name"] == "crypto-momentum")
    first, second = Alert(up, strategy_id=strategy_id), Alert(up, "turnover", strategy_id)
    first.say("open")

    def silenced_until(alert: Alert) -> str | None:
        rows = up.get(f"{QUANT}/alerts?strategy_id={strategy_id}&state=all&limit=200")[1]["alerts"]
        return next(row["silenced_until"] for row in rows if row["alert_id"] == alert.alert_id)

    with tab(browser, url, f"?account=paper-crypto&alert={first.alert_id}") as shown:
        assert silenced_until(first) is None
        shown.page.get_by_label("Reason").fill("it is being moved")
        shown.page.locator("[name=what]").select_option(label="every alert of crypto-momentum")
        shown.page.get_by_role("button", name="Silence", exact=True).click()
        shown.wait(lambda: silenced_until(first), "the silence")
        # What opens later is silent, too; other strategies are not.
        second.say("open")
        other = Alert(up, "turnover")
        other.say("open")
        assert silenced_until(second) == silenced_until(first) is not None
        found = up.get(f"{QUANT}/alerts?state=all&limit=200")[1]["alerts"]
        assert next(row["silenced_until"] for row in found if row["alert_id"] == other.alert_id) is None
        shown.page.evaluate("window.quant.store.set({ alert: '', alerts: 'silences' })")
        shown.wait_for(".drawer", "crypto-momentum")
        shown.page.get_by_label("Reason").first.fill("over")
        shown.page.get_by_role("button", name="End it").first.click()
        shown.wait_for(".empty b", "Nothing is silent")
        for alert in (first, second, other):
            alert.say("resolved")
        assert shown.complaints == []


def test_what_is_told_stays_until_it_is_dismissed(url: str, browser: Browser) -> None:
    with tab(browser, url, "?account=paper-crypto") as shown:
        shown.wait_for(FILLED["scoreboard"])
        for number in (1, 2, 3, 4, 5, 4):
            shown.page.evaluate("number => window.quant.tell(number, 'warn', `news ${number}`, 'words')", number)
        titles = shown.page.locator(".notice strong")
        assert titles.all_inner_texts() == ["news 4", "news 5", "news 3", "2 more"]
        shown.page.locator(".notice button").first.click()
        assert titles.all_inner_texts() == ["news 5", "news 3", "news 2", "1 more"]
        shown.page.get_by_role("button", name="Dismiss all").click()
        assert titles.all_inner_texts() == []


def test_a_past_moment_is_shown_as_it_was(up: RunningUp, url: str, browser: Browser) -> None:
    def told_at(moment: str) -> dict[str, float | None]:
        _, body = up.get(f"/api/torghut/trading/summary?window=1h&as_of={quote(moment)}")
        return next(
            (row["metrics"] for row in body["rows"] if (row["strategy_id"], row["account"]) == ("", "paper-crypto")), {}
        )

    def light_frame() -> datetime:
        return datetime.fromisoformat(up.snapshot(account="paper-crypto", window="1h")["trade_count"]["as_of"])

    with tab(browser, url, "?account=paper-crypto&window=1h") as shown:
        past = datetime.now(UTC)
        # Frames are told seconds after their moment: what is told of a moment stands once later ones were told.
        shown.wait(lambda: light_frame() > past + timedelta(seconds=10), "frames behind the moment")
        moment = past.isoformat(timespec="milliseconds")
        count = shown.wait(lambda: told_at(moment).get("trade_count"), "what was told then")
        shown.page.evaluate("as_of => window.quant.store.set({ as_of })", moment)
        shown.wait_for(".notice strong", "Replay")
        assert shown.state() == "replay"
        shown.wait(lambda: shown.value("trade_count") == f"{count:,.0f}", "the number of then")
        shown.page.keyboard.press("4")
        # The stages as they were then; this screen is not one of them.
        shown.wait(lambda: shown.page.locator(".stage h3").count() == 9, "the stages of then")
        assert shown.has(".stage h3", "Source")
        assert not shown.has(".stage h3", "This screen")
        shown.page.keyboard.press("l")
        shown.wait(lambda: shown.state() == "live", "the present")
        assert "as_of" not in shown.page.url


def test_what_is_seen_can_be_taken_along(url: str, browser: Browser, tmp_path: Path) -> None:
    with tab(browser, url, "?account=paper-crypto&window=1d", accept_downloads=True) as shown:
        page = shown.page
        shown.wait_for(FILLED["scoreboard"])
        with page.expect_download() as told:
            page.get_by_role("button", name="CSV").click()
        rows = list(csv.DictReader(io.StringIO(Path(told.value.path()).read_text())))
        assert {"strategy", "account", "net_pnl", "max_drawdown"} <= set(rows[0])
        assert {row["account"] for row in rows} == {"paper-crypto"}
        shown.wait_for("[aria-label='Equity and drawdown'] .note", "Equity")
        with page.expect_download() as told:
            page.get_by_role("button", name="PNG").click()
        assert Path(told.value.path()).read_bytes().startswith(b"\x89PNG")


def test_the_cross_hair_is_in_both_curves(url: str, browser: Browser) -> None:
    with tab(browser, url, "?account=paper-crypto&window=1d") as shown:
        shown.wait_for("[aria-label='Equity and drawdown'] .note", "Equity")
        shown.page.locator(".chart").first.focus()
        shown.page.keyboard.press("ArrowLeft")
        tips = shown.page.locator(".tip")
        shown.wait(lambda: tips.nth(0).is_visible() and tips.nth(1).is_visible(), "both")
        moments = [text.splitlines()[0] for text in tips.all_inner_texts()[:2]]
        assert moments[0] == moments[1]
        assert re.search(r"\d\d:\d\d", moments[0])


def test_the_bare_address_leads_to_the_dashboards(up: RunningUp, url: str, browser: Browser) -> None:
    with tab(browser, url) as shown:
        shown.page.goto(url)
        shown.wait(lambda: shown.page.url.startswith(f"{url}/control-plane/torghut/quant/"), "the dashboards")
    assert up.get(f"{QUANT}/health")[0] == 200


def test_the_first_view_is_there_soon(url: str, browser: Browser) -> None:
    def seconds(shown: Tab) -> float:
        shown.wait(
            lambda: shown.page.evaluate("performance.getEntriesByName('quant.first').length"), "the first numbers"
        )
        return float(shown.page.evaluate("performance.getEntriesByName('quant.first')[0].startTime")) / 1000

    with tab(browser, url, "?account=paper-crypto&window=1d") as shown:
        seconds(shown)
    with tab(browser, url, "?account=paper-crypto&window=1d") as shown:
        found = seconds(shown)
    print(f"first numbers after {found:.2f} s")
    assert found < SECONDS / 4


def _work(shown: Tab, seconds: float) -> tuple[float, float]:
    """The share of its time for which the main thread keeps a core busy, and the megabytes that stay behind."""
    session = shown.page.context.new_cdp_session(shown.page)
    # Time of the thread, not of the clock: what others do on the machine does not count.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def metrics() -> dict[str, float]:
        session.send("HeapProfiler.collectGarbage")
        return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}

    before, began = metrics(), time.monotonic()
    shown.page.wait_for_timeout(seconds * 1000)
    after, ended = metrics(), time.monotonic()
    return (after["TaskDuration"] - before["TaskDuration"]) / (ended - began), after["JSHeapUsedSize"] / 1e6


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "most_megabytes"), [(15, 5), (240, 3)], ids=["brief", "long"])
def test_fifty_strategies_leave_the_browser_at_ease(
    up: RunningUp, browser: Browser, seconds: float, most_megabytes: float
) -> None:
    with feeding(up) as feed, tab(browser, feed.url, "?account=paper-crypto&window=1d") as shown:
        shown.wait(lambda: shown.page.locator(".board tbody tr").count() == 51, "51 rows")
        first = shown.page.evaluate("performance.getEntriesByName('quant.first')[0].startTime") / 1000
        # All windows of all strategies, as if somebody had a tab for each.
        shown.page.evaluate(
            "scopes => { const app = window.quant; const own = app.store.scope;"
            " app.want = () => app.live.want([own, ...scopes]); app.want(); }",
            feed.scopes,
        )
        shown.wait(lambda: shown.page.evaluate("window.quant.live.frames.size") > 350, "351 frames")
        # What is loaded once, and compiled on the way.
        _, begin = _work(shown, 10)
        told = feed.events
        share, end = _work(shown, seconds)
        rate = (feed.events - told) / seconds
        print(
            f"first numbers {first:.2f} s; {rate:.0f} events/s; main thread {share:.1%};"
            f" heap {begin:.1f} to {end:.1f} MB"
        )
        assert rate > 300 * 0.5
        assert share < 0.1
        assert end - begin < most_megabytes
        assert shown.complaints == []
