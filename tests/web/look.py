"""Looks at every page of a server that runs: python look.py BROWSER URL FOLDER WHAT [TOKEN]

WHAT is "empty" (nothing is recorded or lodged), "demo" (a day is lodged), "books" (findings, and agreements, profiles and
samples as record.py makes them), "off" (findings are switched off) or "token": the server is one that knows its clients,
and the way in is looked at.
"""

import json
import sys
import time
import urllib.request

from axe_core_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

BROWSER, URL, FOLDER, WHAT, *TOKEN = sys.argv[1:]
WIDTHS = [1440, 390]
HEADINGS = {
    "en": {"actors": "Declarants", "ioss": "IOSS holders", "system": "How the server does", "findings": "Findings", "signals": "Signals",
           "agreements": "Agreements", "profiles": "Risk profiles", "samples": "Sampling"},
    "nl": {"actors": "Aangevers", "ioss": "IOSS-houders", "system": "Hoe het met de server gaat", "findings": "Bevindingen", "signals": "Signalen",
           "agreements": "Afspraken", "profiles": "Risicoprofielen", "samples": "Steekproeven"},
}
SERIOUS = {"serious", "critical"}
# A slow machine is no fault of the page.
expect.set_options(timeout=30_000)
wrong = []


def check(holds, what):
    if not holds:
        wrong.append(what)
        print(f"WRONG: {what}")


def listen(page, told):
    page.on("console", lambda m: told.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: told.append(str(e)))
    page.on("request", lambda r: None if r.url.startswith(URL) else told.append(f"asks elsewhere: {r.url}"))


def look(page, name, width):
    """What holds for every page."""
    check(page.locator("main").count() == 1 and page.locator("header nav").count() == 1, f"{name}: landmarks")
    check(page.locator("h1").count() == 1, f"{name}: {page.locator('h1').count()} headings of the first level")
    levels = page.eval_on_selector_all("h1,h2,h3,h4", "all => all.map(h => Number(h.tagName[1]))")
    check(all(b - a <= 1 for a, b in zip(levels, levels[1:])), f"{name}: levels of headings {levels}")
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    check(over <= 0, f"{name}: scrolls sideways by {over} px")
    bare = page.eval_on_selector_all("table", "all => all.filter(t => !t.caption || t.querySelector('th:not([scope])')).length")
    check(bare == 0, f"{name}: {bare} tables without caption or scope")
    mute = page.eval_on_selector_all("svg", "all => all.filter(s => !s.querySelector(':scope > title') || !s.querySelector(':scope > desc')).length")
    check(mute == 0, f"{name}: {mute} pictures without words")
    found = Axe().run(page)
    for violation in found["violations"]:
        if violation["impact"] in SERIOUS:
            check(False, f"{name}: {violation['id']}: {violation['help']}: {[n['html'][:120] for n in violation['nodes'][:3]]}")
        else:
            print(f"{name}: {violation['impact']}: {violation['id']}: {violation['help']}")
    page.screenshot(path=f"{FOLDER}/{name}.png", full_page=True)


def settled(page, heading):
    expect(page.locator("h1")).to_contain_text(heading)
    expect(page.locator("main")).not_to_have_attribute("aria-busy", "true")


def on_page(page, place):
    """The focus goes to the page, which may have the same heading as the one before: so it is waited for."""
    try:
        expect(page.locator("main")).to_be_focused()
    except AssertionError:
        check(False, f"{place}: the focus does not go to the page")


def visit(browser, width, language, dark=False):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, locale={"nl": "nl-NL", "en": "en-GB"}[language],
        color_scheme="dark" if dark else "light")
    page, told = context.new_page(), []
    listen(page, told)
    words, mark = HEADINGS[language], f"{language}-{width}{'-dark' if dark else ''}"
    page.goto(URL)
    settled(page, words["actors"])
    check(page.locator("html").get_attribute("lang") == language, f"{mark}: the language of the browser")
    rows = page.locator("table.actors tbody tr")
    expect(rows.nth(10)).to_be_visible()
    look(page, f"actors-{mark}", width)

    # With the keyboard alone: past what stands above, to the first actor, and into it.
    page.keyboard.press("Tab")
    check(page.evaluate("document.activeElement.id") == "skip", f"{mark}: the first stop is not the skip link")
    page.keyboard.press("Enter")
    first = rows.first.locator("a").first.inner_text()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == first:
            break
    seen = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    check(seen != "none", f"{mark}: where the focus is cannot be seen")
    page.keyboard.press("Enter")
    settled(page, first)
    on_page(page, mark)
    expect(page.locator("svg.trend")).to_be_visible()
    check(page.locator("svg.trend .dot").count() >= 1, f"{mark}: a trend without points")
    check(page.locator("svg.histogram .bar.bunched").count() == 1, f"{mark}: the bar of (145, 150]")
    check(page.locator("table.indicators tbody tr").count() >= 8, f"{mark}: indicators")
    check(page.locator("main > .watermark").count() == 1, f"{mark}: the watermark")
    page.locator("select").last.select_option("rejection_rate")
    expect(page.locator("svg.trend > title")).not_to_be_empty()
    check(page.locator("svg.trend .peers").count() >= 1, f"{mark}: no line of the peers")
    look(page, f"actor-{mark}", width)

    # The one that bunches most: by whose bars it can be seen.
    page.goto(f"{URL}#/actors?role=declarant")
    settled(page, words["actors"])
    page.locator("[data-sort=bunching]").click()
    rows.first.locator("a").first.click()
    expect(page.locator("svg.histogram .expected")).to_have_count(1)
    expect(page.locator("svg.histogram line.grid").nth(2)).to_be_attached()
    look(page, f"bunching-{mark}", width)

    # Sorting and filtering.
    page.goto(f"{URL}#/actors?role=ioss-holder")
    settled(page, words["ioss"])
    page.locator("[data-sort=value]").click()
    check(page.locator("th[aria-sort]").count() == 1, f"{mark}: which column is sorted is not told")
    page.locator("[data-move=next]").click()
    page.locator("input[type=search]").fill("no such")
    expect(page.locator(".empty")).to_be_visible()
    page.locator("input[type=search]").fill("")
    look(page, f"ioss-{mark}", width)

    page.locator("header nav a").last.click()
    settled(page, words["system"])
    page.wait_for_timeout(4_500)
    expect(page.locator("svg.spark path.own")).to_have_count(1)
    look(page, f"system-{mark}", width)

    # What is wrong is told; after that the way back is open.
    page.goto(f"{URL}#/actor?role=declarant&id=NL999999999")
    expect(page.locator(".message.wrong")).to_be_visible()
    told[:] = [text for text in told if "404" not in text]
    look(page, f"unknown-{mark}", width)
    told[:] = [text for text in told if "404" not in text]
    check(not told, f"{mark}: the console says {told}")

    # The other language at a touch.
    other = "nl" if language == "en" else "en"
    page.goto(f"{URL}#/actors")
    settled(page, words["actors"])
    page.locator("header select").select_option(other)
    settled(page, HEADINGS[other]["actors"])
    check(page.locator("html").get_attribute("lang") == other, f"{mark}: the other language")
    context.close()


def opened(browser, width, language):
    context = browser.new_context(viewport={"width": width, "height": 900}, locale={"nl": "nl-NL", "en": "en-GB"}[language])
    page, told = context.new_page(), []
    listen(page, told)
    page.goto(URL)
    settled(page, HEADINGS[language]["actors"])
    return context, page, told


def section(page, language, place, name):
    """One of those in the navigation, by keyboard."""
    link = page.locator(f"header nav a[href^='#/{name}?']")
    link.focus()
    page.keyboard.press("Enter")
    settled(page, HEADINGS[language][name])
    check(link.get_attribute("aria-current") == "page", f"{place}: where one is is not told")
    on_page(page, place)
    check(HEADINGS[language][name] in page.title(), f"{place}: the title is {page.title()}")


def nothing(browser, width, language):
    """Where there is nothing yet, what to do is said."""
    context, page, told = opened(browser, width, language)
    commands = {"agreements": "waag agreement record", "profiles": "waag profile record", "samples": "waag sample record"}
    for name, command in commands.items():
        place = f"empty-{name}-{language}-{width}"
        section(page, language, place, name)
        expect(page.locator("main .message code")).to_contain_text(command)
        look(page, place, width)
    place = f"empty-findings-{language}-{width}"
    section(page, language, place, "findings")
    expect(page.locator("main .message h2")).to_have_text({"en": "Nothing is sealed yet", "nl": "Er is nog niets verzegeld"}[language])
    look(page, place, width)
    place = f"empty-signals-{language}-{width}"
    section(page, language, place, "signals")
    expect(page.locator("main .empty")).to_be_visible()
    look(page, place, width)
    page.locator("header nav a[href^='#/profiles?']").click()
    settled(page, HEADINGS[language]["profiles"])
    check(page.locator("table.register tbody tr").count() >= 6, f"{language}: Waag's own algorithms are not in the register")
    check(not told, f"empty, {language}, {width}: the console says {told}")
    context.close()


def one(page, place, width, name, id):
    """One thing of a section, by keyboard; what is hidden in it is opened, as it has to be good, too."""
    link = page.locator(f"main table a[href*='/{name}?'][href*='id={id}']").first
    link.focus()
    page.keyboard.press("Enter")
    settled(page, id)
    on_page(page, place)
    check(page.title().startswith(id), f"{place}: the title is {page.title()}")
    for summary in page.locator("main summary").all():
        summary.focus()
        page.keyboard.press("Enter")
    check(page.locator("main details:not([open])").count() == 0, f"{place}: what is hidden does not open")
    look(page, place, width)


def count(page, selector, least, place):
    found = page.locator(selector).count()
    check(found >= least, f"{place}: {found} of {selector}")


def ask(path):
    with urllib.request.urlopen(f"{URL}api/{path}") as answer:
        return json.load(answer)


def found():
    """Waits until all that was lodged is in the findings."""
    declared = ask("actors?page_size=1")["watermark"]
    until = time.monotonic() + 120
    while ask("findings?page_size=1").get("watermark") != declared:
        if time.monotonic() > until:
            sys.exit("findings do not come as far as what was lodged")
        time.sleep(0.2)


def signals(page, width, language, mark):
    section(page, language, mark, "signals")
    first = ask("signals")
    rows = page.locator("table.signals tbody tr")
    expect(rows).to_have_count(len(first["signals"]))
    check(len(first["signals"]) > 0, f"{mark}: no declarant stands out, where one splits what it sends")
    page.locator("main > details summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("main > details tbody tr")).to_have_count(len(first["rules"]))
    look(page, f"signals-{mark}", width)
    # Over other days; and from a signal to the declarant on its days.
    page.locator("input[name=first]").fill("2026-11-01")
    page.locator("input[name=last]").fill("2026-11-02")
    page.keyboard.press("Enter")
    days = ask("signals?first_day=2026-11-01&last_day=2026-11-02").get("signals", [])
    expect(rows).to_have_count(len(days))
    page.locator(".spans button").nth(1).click()
    expect(rows).to_have_count(len(first["signals"]))
    of = first["signals"][0]
    rows.first.locator("a").click()
    settled(page, of["actor"]["id"])
    expect(page.locator("input[name=first]")).to_have_value(of["days"]["firstDay"])
    # The sections after this are over all days.
    page.locator(".spans button").first.click()
    expect(page.locator("input[name=first]")).to_have_value("")


def findings(page, width, language, mark):
    section(page, language, mark, "findings")
    rows = page.locator("table.findings tbody tr")
    # Those of the service, which gives them in the same order.
    first = ask("findings?notable_only=true&page_size=100")
    expect(rows).to_have_count(len(first["findings"]))
    links = page.locator("table.findings td:nth-child(3) a")
    ids = [it["actor"]["id"] for it in first["findings"]]
    expect(links).to_have_text(ids)
    expect(page.locator("table.findings .mark")).to_have_count(len(first["findings"]))
    look(page, f"findings-{mark}", width)
    for summary in [*page.locator("table.findings summary").all()[:3], page.locator("main > details summary").first]:
        summary.focus()
        page.keyboard.press("Enter")
    # What record.py lodges: consignments split up, the two of each with one number.
    expect(rows.first).to_contain_text("CONSIGNMENT_SPLIT_SUSPECT")
    expect(rows.first.locator(".examples code")).to_have_text([one["mrn"] for one in first["findings"][0]["examples"]])
    expect(rows.first.locator(".examples li").last).to_contain_text({"en": "group 3", "nl": "groep 3"}[language])
    expect(page.locator("main > details tbody tr")).to_have_count(19)
    look(page, f"findings-open-{mark}", width)

    # Read on, where there are more.
    page.locator(".controls input[type=checkbox]").uncheck()
    settled(page, HEADINGS[language]["findings"])
    expect(rows).to_have_count(100)
    page.locator(".partly button").focus()
    page.keyboard.press("Enter")
    every = ask("findings?page_size=100")
    second = ask(f"findings?page_size=100&page_token={every['nextPageToken']}")
    expect(links).to_have_text([it["actor"]["id"] for it in every["findings"] + second["findings"]])
    check(page.locator("table.findings .mark").count() < rows.count(), f"{mark}: all are worth a conversation")

    # By indicator, by role, by days and by actor.
    page.locator(".controls select").select_option("ioss_month_value")
    page.locator("input[name=role][value=ioss-holder]").check()
    expect(rows.first).to_contain_text("€")
    expect(page.locator(".controls select")).to_have_value("ioss_month_value")
    look(page, f"findings-ioss-{mark}", width)
    page.locator("header nav a[href^='#/findings?']").click()
    expect(page.locator(".controls select")).to_have_value("")
    page.locator("input[name=role][value=declarant]").check()
    expect(rows).to_have_count(len(first["findings"]))
    page.locator("input[name=last]").fill("2026-11-02")
    page.keyboard.press("Enter")
    days = ask("findings?notable_only=true&page_size=100&last_day=2026-11-02").get("findings", [])
    expect(rows).to_have_count(len(days))
    page.locator(".spans button").first.click()
    expect(rows).to_have_count(len(first["findings"]))
    page.locator(".of-actor input").fill(ids[0].lower())
    page.keyboard.press("Enter")
    own = ask(f"findings?notable_only=true&id={ids[0]}&page_size=100")["findings"]
    expect(rows).to_have_count(len(own))
    look(page, f"findings-actor-{mark}", width)

    # What is written in the address is text, whatever it is; what is wrong with it is told, and can be mended there.
    page.goto(f"{URL}#/findings?id=%3Cimg%20src%3Dx%3E")
    expect(page.locator("main .message.wrong")).to_contain_text("EORI")
    expect(page.locator(".of-actor input")).to_have_value("<img src=x>")
    check(page.locator("main img").count() == 0, f"{mark}: an address becomes an element")
    look(page, f"findings-wrong-{mark}", width)
    page.locator(".of-actor input").fill("NL999999999")
    page.keyboard.press("Enter")
    expect(page.locator("main .empty")).to_be_visible()
    look(page, f"findings-none-{mark}", width)

    # With their actor, and from there to all of it.
    page.goto(f"{URL}#/actor?role=declarant&id={ids[0]}")
    settled(page, ids[0])
    shown = page.locator("section[aria-labelledby=of-findings]")
    expect(shown.locator("tbody tr")).to_have_count(min(len(own), 10))
    look(page, f"actor-found-{mark}", width)
    shown.locator("> p a").click()
    settled(page, HEADINGS[language]["findings"])
    expect(page.locator(".of-actor input")).to_have_value(ids[0])


def off(browser, width, language):
    """Where findings are switched off, that is told, and all else is there."""
    context, page, told = opened(browser, width, language)
    place = f"off-{language}-{width}"
    section(page, language, place, "findings")
    expect(page.locator("main .message")).to_contain_text("switched off on this server")
    look(page, place, width)
    page.locator("header nav a[href^='#/actors?']").click()
    page.locator("table.actors a").first.click()
    expect(page.locator("section[aria-labelledby=of-findings] .message")).to_contain_text("switched off on this server")
    count(page, "table.indicators tbody tr", 8, place)
    told = [text for text in told if "409" not in text]
    check(not told, f"{place}: the console says {told}")
    context.close()


def differently(browser, mark, width, media, scheme):
    """Every section in the dark, or on paper."""
    context = browser.new_context(viewport={"width": width, "height": 900}, locale="en-GB", color_scheme=scheme)
    page, told = context.new_page(), []
    listen(page, told)
    page.emulate_media(media=media, color_scheme=scheme)
    actor = ask("findings?notable_only=true&page_size=1")["findings"][0]["actor"]["id"]
    for name, asked, heading in [
        ("findings", "role=declarant", "Findings"), ("agreements", "", "Agreements"), ("agreement", "id=A1", "A1"), ("profiles", "", "Risk profiles"),
        ("profile", "id=P1", "P1"), ("samples", "", "Sampling"), ("sample", "id=S1", "S1"), ("actor", f"role=declarant&id={actor}", actor),
    ]:
        page.goto(f"{URL}#/{name}?{asked}")
        settled(page, heading)
        for summary in page.locator("main summary").all()[:3]:
            summary.focus()
            page.keyboard.press("Enter")
        look(page, f"{name}-{mark}", width)
    check(not told, f"{mark}: the console says {told}")
    context.close()


def books(browser, width, language):
    context, page, told = opened(browser, width, language)
    mark = f"{language}-{width}"

    signals(page, width, language, mark)
    findings(page, width, language, mark)
    told[:] = [text for text in told if "400" not in text]

    section(page, language, mark, "agreements")
    count(page, "table.agreements tbody tr", 4, mark)
    look(page, f"agreements-{mark}", width)
    bad, good = {"en": ("at risk", "met"), "nl": ("in gevaar", "gehaald")}[language]
    expect(page.locator("table.agreements tbody tr").first).to_contain_text(bad)
    expect(page.locator("table.agreements tbody tr").nth(2)).to_contain_text(good)
    page.locator(".controls select").select_option("withdrawn")
    expect(page.locator("table.agreements tbody tr")).to_have_count(1)
    page.locator(".controls select").select_option("pending")
    expect(page.locator("main .empty")).to_be_visible()
    section(page, language, mark, "agreements")
    place = f"agreement-{mark}"
    one(page, place, width, "agreement", "A1")
    for selector, least in (("svg.glide .dot", 2), ("svg.glide .whisker", 2), ("svg.glide .target", 1), ("svg.cusum .dot.alarm", 1), (".message.wrong", 1)):
        count(page, selector, least, place)
    value = page.locator(".figures > div").nth(2)
    expect(value).to_contain_text({"en": "2.00%", "nl": "2,00%"}[language])
    page.locator(".controls select").select_option("1")
    expect(value).to_contain_text({"en": "1.00%", "nl": "1,00%"}[language])
    page.locator(".figures a").click()
    expect(page.locator("table.agreements tbody tr")).to_have_count(2)
    look(page, f"actor-agreed-{mark}", width)

    section(page, language, mark, "profiles")
    count(page, "table.register tbody tr", 11, mark)
    look(page, f"profiles-{mark}", width)
    place = f"profile-{mark}"
    one(page, place, width, "profile", "P1")
    expect(page.locator("svg.bars")).to_have_count(2)
    count(page, ".examples li", 40, place)
    count(page, ".examples a", 40, place)
    section(page, language, mark, "profiles")
    one(page, f"profile-withdrawn-{mark}", width, "profile", "P3")
    expect(page.locator("main .message")).to_contain_text("there is one already")

    section(page, language, mark, "samples")
    look(page, f"samples-{mark}", width)
    place = f"sample-{mark}"
    one(page, place, width, "sample", "S1")
    expect(page.locator("section[aria-labelledby=of-estimate] tbody tr")).to_have_count(3)
    expect(page.locator("section[aria-labelledby=of-selectedItems] tbody tr")).to_have_count(60)
    expect(page.locator("section[aria-labelledby=of-targeted] dd").first).to_have_text("4")
    count(page, "section[aria-labelledby=of-proof] code", 2, place)
    page.locator(".controls input[type=checkbox]").check()
    expect(page.locator("section[aria-labelledby=of-selectedItems] tbody tr")).to_have_count(40)
    page.locator(".controls select").select_option("0.99")
    expect(page.locator("main")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("section[aria-labelledby=of-selectedItems] tbody tr")).to_have_count(40)
    expect(page.locator(".controls select")).to_have_value("0.99")
    section(page, language, mark, "samples")
    one(page, f"sample-value-{mark}", width, "sample", "S2")
    expect(page.locator("section[aria-labelledby=of-estimate] .figures > div")).to_have_count(3)

    check(not told, f"{mark}: the console says {told}")
    context.close()


def sign_in(browser, width, token):
    context = browser.new_context(viewport={"width": width, "height": 900}, locale="en-GB")
    page, told = context.new_page(), []
    listen(page, told)
    page.goto(URL)
    settled(page, "Who are you?")
    check(page.evaluate("document.activeElement.id") == "token", "the focus is not in the field")
    look(page, f"token-{width}", width)
    page.keyboard.type(f"{token[:-1]}{'1' if token[-1] == '0' else '0'}")
    page.keyboard.press("Enter")
    expect(page.locator(".message.wrong")).to_contain_text("not known here")
    check(page.evaluate("sessionStorage.length") == 0, "a wrong token is kept")
    page.locator("#token").fill(token)
    page.keyboard.press("Enter")
    settled(page, "Declarants")
    expect(page.locator(".who")).to_have_text("risk-desk")
    page.reload()
    settled(page, "Declarants")
    stores = page.evaluate("[document.cookie.length, Object.values(localStorage).filter(v => v.startsWith('waag_')).length]")
    check(stores == [0, 0], f"the token outlives the tab: {stores}")
    page.locator("header button").click()
    settled(page, "Who are you?")
    told = [text for text in told if "401" not in text]
    check(not told, f"the console says {told}")
    context.close()


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
    if WHAT == "books":
        found()
    for width in WIDTHS:
        if WHAT == "token":
            sign_in(browser, width, TOKEN[0])
        for language in [] if WHAT == "token" else ["en", "nl"]:
            {"empty": nothing, "demo": visit, "books": books, "off": off}[WHAT](browser, width, language)
    if WHAT == "demo":
        visit(browser, 1440, "en", dark=True)
    if WHAT == "books":
        differently(browser, "dark", 1440, "screen", "dark")
        # What is left of A4 between the margins; paper is white also where the screen is dark.
        differently(browser, "paper", 718, "print", "dark")
    browser.close()

if wrong:
    sys.exit(f"{len(wrong)} things are wrong")
print(f"every page is as it must be; pictures are in {FOLDER}")
