"""Company domains: what a cell's text says about where a person works. Pure functions.

What they return goes into a contact's identity: see :mod:`.cleaning`. The mail providers are those whose mailboxes
are open to everybody; a domain that its company's own staff uses for mail is not in the list.
"""

from __future__ import annotations

import re
import unicodedata

from airflow_provider_cleanlist.contacts.cleaning import HIDDEN, WRAPPING, is_locked, link_target

_MAIL_FAMILIES = {
    "aol": "co.uk com com.au com.br com.mx de es fr it",
    "fastmail": "com fm",
    "gmx": "at ch co.uk com de es eu fr info net org us",
    "googlemail": "co.uk com de",
    "hotmail": "at be ca ch cl co.id co.il co.jp co.kr co.nz co.th co.uk co.za com com.ar com.au com.br com.hk com.mx "
    "com.tr com.tw com.vn cz de dk es fi fr gr hu ie it lt lv my nl no ph pt rs ru se sg sk",
    "live": "at be ca ch cl cn co.in co.kr co.uk co.za com com.ar com.au com.co com.mx com.my com.pe com.ph com.pt "
    "com.sg com.ve de dk fi fr hk ie in it jp nl no ph pt ru se",
    "msn": "cn com",
    "outlook": "at be cl co.id co.il co.th com com.ar com.au com.br com.gr com.pe com.tr com.vn cz de dk es fr hu ie "
    "in it jp kr lv my ph pt sa sg sk",
    "protonmail": "ch com",
    "tiscali": "co.uk it",
    "yahoo": "at be ca ch cl cn co.id co.in co.jp co.kr co.nz co.th co.uk co.za com com.ar com.au com.br com.cn com.co "
    "com.hk com.mx com.my com.pe com.ph com.sg com.tr com.tw com.ua com.ve com.vn cz de dk es fi fr gr hu ie in it nl "
    "no pl pt ro ru se",
    "yandex": "by com com.tr kz ru ua",
    "zohomail": "com eu in",
}
_MAIL_PROVIDERS = """
    012.net.il 126.com 139.com 163.com 188.com 189.cn 21cn.com 263.net 9online.fr a1.net abv.bg aim.com alice.it
    aliceadsl.fr aliyun.com ameritech.net aon.at arcor.de arnet.com.ar atlas.cz att.net azet.sk bbox.fr bell.net
    bellsouth.net bezeqint.net biglobe.ne.jp bigmir.net bigpond.com bigpond.net.au bk.ru blueyonder.co.uk bluewin.ch
    bol.com.br btinternet.com btopenworld.com casema.nl cegetel.net centrum.cz centrum.sk centurylink.net charter.net
    chello.at chello.nl citromail.hu clix.pt club-internet.fr cogeco.ca comcast.net comhem.se compuserve.com cox.net
    daum.net docomo.ne.jp drei.at duck.com earthlink.net eircom.net email.com email.cz email.de email.it embarqmail.com
    ewetel.net excite.com ezweb.ne.jp fastwebnet.it fibertel.com.ar foxmail.com free.fr freemail.hu freenet.de
    freeserve.co.uk gazeta.pl gmail.com hanmail.net hetnet.nl hispeed.ch home.nl hot.ee hushmail.com i.softbank.jp i.ua
    icloud.com ig.com.br iinet.net.au inbox.com inbox.lt inbox.lv inbox.ru indamail.hu infoseek.jp interia.eu interia.pl
    internet.ru inwind.it iol.it juno.com kakao.com keemail.me kolumbus.fi kpnmail.nl kpnplanet.nl laposte.net libero.it
    list.ru luukku.com lycos.com mac.com mail.bg mail.com mail.de mail.dk mail.ee mail.ru mailbox.org mchsi.com me.com
    meta.ua msa.hinet.net mweb.co.za mynet.com myyahoo.com nate.com naver.com netcabo.pt netcologne.de netscape.net
    netvigator.com netvision.net.il netzero.net neuf.fr nifty.com noos.fr ntlworld.com numericable.fr o2.pl o2online.de
    ocn.ne.jp one.lt onet.eu onet.pl online.no ono.com op.pl optonline.net optusnet.com.au orange.fr otenet.gr
    ozemail.com.au pacbell.net planet.nl pm.me poczta.fm poczta.onet.pl post.cz post.sk posteo.de
    privaterelay.appleid.com prodigy.net prodigy.net.mx proton.me qq.com rambler.ru rediffmail.com roadrunner.com
    rocketmail.com rr.com sapo.pt sbcglobal.net seznam.cz sfr.fr shaw.ca sina.cn sina.com skynet.be so-net.ne.jp
    softbank.ne.jp sohu.com spray.se sunrise.ch suomi24.fi swbell.net sympatico.ca t-online.de t-online.hu talktalk.net
    telefonica.net telenet.be telkomsa.net telus.net terra.com.br terra.es tim.it tin.it tlen.pl tom.com tuta.io
    tutamail.com tutanota.com tutanota.de tut.by ukr.net uol.com.br upcmail.nl users.noreply.github.com verizon.net
    videotron.ca vip.163.com vip.qq.com vip.sina.com virginmedia.com virgilio.it vodafonemail.de vodamail.co.za voila.fr
    volny.cz vp.pl vtr.net walla.co.il walla.com wanadoo.fr web.de webmail.co.za windowslive.com windstream.net wo.cn
    wp.pl xs4all.nl xtra.co.nz ya.ru yeah.net ymail.com ziggo.nl zipmail.com.br zonnet.nl zoznam.sk
"""
FREE_MAIL_DOMAINS = frozenset(_MAIL_PROVIDERS.split()) | {
    f"{name}.{suffix}" for name, suffixes in _MAIL_FAMILIES.items() for suffix in suffixes.split()
}
"""Domains of mailboxes open to everybody: they say nothing about where a person works."""

_SHARED = """
    about.me angel.co apps.apple.com beacons.ai behance.net bit.ly discord.gg docs.google.com
    dribbble.com drive.google.com facebook.com fb.com fb.me
    find-and-update.company-information.service.gov.uk forms.gle g.page github.com gitlab.com goo.gl
    instagram.com is.gd itunes.apple.com kununu.com linkedin.cn linkedin.com linktr.ee lnkd.in m.me
    maps.app.goo.gl maps.google.com medium.com northdata.com northdata.de ok.ru opencorporates.com ow.ly
    pinterest.com play.google.com rb.gy rebrand.ly sites.google.com t.co t.ly t.me telegram.me
    threads.net tiktok.com tiny.cc tinyurl.com tumblr.com twitter.com vk.com wa.me weibo.com
    wikipedia.org x.com xing.com youtu.be youtube.com
    bloomberg.com/profile capterra.com/p crunchbase.com/company crunchbase.com/organization
    crunchbase.com/person etsy.com/shop g2.com/products g2.com/sellers glassdoor.com/overview
    glassdoor.com/reviews google.com/maps google.com/search google.com/url indeed.com/cmp
    owler.com/company patreon.com/user pitchbook.com/profiles producthunt.com/posts
    producthunt.com/products reddit.com/r reddit.com/user rocketreach.co/person signalhire.com/companies
    societe.com/societe tracxn.com/d trustpilot.com/review vimeo.com/user wantedly.com/companies
    wellfound.com/company yelp.com/biz zoominfo.com/c zoominfo.com/p
"""
_SHARED_SITES = frozenset(_SHARED.split())
"""Sites whose pages are those of others (networks, shorteners), and such parts of the sites of companies."""

_MOST_LABELS = 5  # of a shared site's host
_SHARED_TAILS = frozenset(".".join(site.split("/")[0].split(".")[-2:]) for site in _SHARED_SITES)
_SCHEME = re.compile(r"^(?:[a-z][a-z0-9+.-]*://|mailto:|//)", re.IGNORECASE)
_HOST_END = re.compile(r"[/?#\s,;|]")
_LETTER = "[a-z\u00a1-\U0010ffff]"
_EDGE = "[a-z0-9_\u00a1-\U0010ffff]"
_INNER = "[a-z0-9_\u00a1-\U0010ffff-]"
_HOST = re.compile(rf"(?:{_EDGE}(?:{_INNER}*{_EDGE})?\.)+{_LETTER}{_INNER}*{_EDGE}")


def clean_domain(text: str) -> str | None:
    """Return the company domain that a cell's text names.

    Args:
        text: A bare domain, a URL of any kind, or an e-mail address; of several, the first counts.

    Returns:
        The host in lower case without ``www.``, or None when the text holds no host name with a dot, an IP
        address, a free e-mail provider, or a page on a site that many companies share (networks, directories,
        link shorteners).
    """
    rest = _SCHEME.sub("", link_target(text).strip(WRAPPING))
    if "@" in rest and is_locked(rest):
        return None
    host = _HOST_END.split(rest, maxsplit=1)[0]
    page = rest[len(host) :].split("?")[0].split("#")[0].strip("/ ,;|")
    host = unicodedata.normalize("NFC", host.rpartition("@")[2].partition(":")[0].strip(".").lower())
    host = host.removeprefix("www.")
    if not _HOST.fullmatch(host) or HIDDEN.search(host) or host in FREE_MAIL_DOMAINS:
        return None
    return None if page and _is_shared(host, page) else host


def _is_shared(host: str, page: str) -> bool:
    labels = host.rsplit(".", maxsplit=_MOST_LABELS)[-_MOST_LABELS:]
    if ".".join(labels[-2:]) not in _SHARED_TAILS:
        return False
    part = page.split("/", maxsplit=1)[0].lower()
    sites = (".".join(labels[start:]) for start in range(len(labels)))
    return any(site in _SHARED_SITES or f"{site}/{part}" in _SHARED_SITES for site in sites)
