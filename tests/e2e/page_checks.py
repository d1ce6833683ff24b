"""What everybody must be able to use, computed by the browser from the page it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}

COLOURS = """
const parts = colour => {
    const [red, green, blue, alpha = 1] = colour.match(/[\\d.]+/g).map(Number);
    return [red, green, blue, alpha];
};
const ground = element => {
    for (; element; element = element.parentElement) {
        const colour = parts(getComputedStyle(element).backgroundColor);
        if (colour[3] === 1) return colour;
        if (colour[3] > 0) throw new Error("a ground that is half transparent");
    }
    return [255, 255, 255, 1];
};
const luminance = colour => {
    const [red, green, blue] = colour.slice(0, 3).map(part => part / 255)
        .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const contrast = (first, second) => {
    const [low, high] = [luminance(first), luminance(second)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
};
"""
CONTRASTS = f"""{COLOURS}
const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {{
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() && !element.closest("svg") && element.getClientRects().length)
        texts.push(contrast(parts(getComputedStyle(element).color), ground(element)));
}}
const shapes = [...document.querySelectorAll("svg rect:not(.track)")]
    .filter(shape => shape.getClientRects().length)
    .map(shape => contrast(parts(getComputedStyle(shape).fill), ground(shape.closest("section"))));
return {{texts, shapes}};
"""
CONTROLS = 'a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex="-1"])'
WATCH_FOCUS = f"""{COLOURS}
const controls = [...document.querySelectorAll(arguments[0])].filter(item => item.getClientRects().length);
window.focused = [];
document.addEventListener("focusin", ({{target}}) => {{
    const style = getComputedStyle(target), box = target.getBoundingClientRect();
    const ring = contrast(parts(style.outlineColor), ground(target.parentElement));
    window.focused.push({{
        control: controls.indexOf(target),
        visible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && ring >= 3
            && box.bottom > 0 && box.top < innerHeight,
    }});
}});
return controls.length;
"""
PLOTS = """
const number = text => Number(text.replace(/,/g, ""));
return [...document.querySelectorAll("svg.columns")].map(plot => {
    const rows = plot.closest(".beside").querySelectorAll("table tbody tr");
    const shown = [...plot.querySelectorAll("rect title")].map(title => title.textContent);
    return {
        named: Boolean(plot.querySelector("title").textContent && plot.querySelector("desc").textContent),
        plot: shown.reduce((sum, text) => sum + number(text.match(/([\\d,]+) (credit|request)/)[1]), 0),
        table: [...rows].reduce((sum, row) => sum + number(row.lastElementChild.textContent), 0),
    };
});
"""
BARS_WITHOUT_NUMBER = """
return [...document.querySelectorAll("svg.bar")]
    .filter(bar => !/\\d/.test(bar.closest("td").previousElementSibling.textContent)).length;
"""
BROKEN_WORDS = """
const broken = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    if (walker.currentNode.parentElement.closest("th[scope=row], header p")) continue;
    for (const word of walker.currentNode.data.matchAll(/[A-Za-z]{2,14}/g)) {
        const range = document.createRange();
        range.setStart(walker.currentNode, word.index);
        range.setEnd(walker.currentNode, word.index + word[0].length);
        if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) broken.push(word[0]);
    }
}
return broken;
"""
WIDTHS = "return [document.documentElement.scrollWidth, innerWidth]"


def lowest_contrasts(browser: Chrome) -> tuple[float, float]:
    """Return the lowest contrast of a text and of a shape with the ground that it stands on."""
    found: dict[str, list[float]] = browser.execute_script(CONTRASTS)
    return min(found["texts"]), min(found["shapes"], default=21.0)


def reached_by_keyboard(browser: Chrome) -> tuple[int, int, int]:
    """Press Tab through the page: return the controls, those that had the focus, those of them that showed it."""
    controls: int = browser.execute_script(WATCH_FOCUS, CONTROLS)
    ActionChains(browser).send_keys(Keys.TAB * controls).perform()
    focused: list[dict[str, Any]] = browser.execute_script("return window.focused")
    return (
        controls,
        len({item["control"] for item in focused if item["control"] >= 0}),
        len({item["control"] for item in focused if item["control"] >= 0 and item["visible"]}),
    )


def plots_and_tables(browser: Chrome) -> list[tuple[int, int]]:
    """Return of each plot the sum of what it shows, and that of the last column of the table beside it."""
    plots: list[dict[str, Any]] = browser.execute_script(PLOTS)
    assert all(plot["named"] for plot in plots)
    assert browser.execute_script(BARS_WITHOUT_NUMBER) == 0
    return [(plot["plot"], plot["table"]) for plot in plots]


def scrolls_sideways(browser: Chrome) -> bool:
    """Return whether the page is wider than the screen."""
    width, screen = browser.execute_script(WIDTHS)
    return bool(width > screen)


def broken_words(browser: Chrome) -> list[str]:
    """Return the short words that stand on more than one line, ids of Airflow apart."""
    return list(browser.execute_script(BROKEN_WORDS))


def use_dark(browser: Chrome, *, dark: bool) -> None:
    """Prefer a dark page or a light one, as the system's setting does."""
    feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def use_phone(browser: Chrome, *, phone: bool) -> None:
    """Take the screen of a phone, or that of the window."""
    if phone:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    else:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
