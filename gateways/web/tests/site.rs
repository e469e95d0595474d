//! The site: a booking through its pages, and what it must not do.

mod world;

use std::sync::atomic::Ordering;

use actix_web::cookie::Cookie;
use actix_web::http::header::{HeaderMap, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::{App, test};
use guichet_engine::ids::Reference;
use guichet_web::server::{configure, headers};
use guichet_web::site::session::OPEN_MINUTES;
use world::{Stage, stage};

const CARD: &str = "6210 9480 0000 0011";

/// What a browser got.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    html: String,
}

impl Answer {
    fn location(&self) -> &str {
        self.headers.get(LOCATION).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
    fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let after = self.html.split(&mark).nth(1).unwrap_or_default();
        after.split('"').next().unwrap_or_default().to_owned()
    }
}

/// A browser that keeps cookies.
struct Browser<'a> {
    stage: &'a Stage,
    cookies: Vec<Cookie<'static>>,
    language: &'static str,
}

impl<'a> Browser<'a> {
    fn new(stage: &'a Stage, language: &'static str) -> Self {
        Self { stage, cookies: Vec::new(), language }
    }

    async fn send(&mut self, method: Method, uri: &str, form: Option<String>) -> Answer {
        let log = actix_web::middleware::from_fn(guichet_web::trace::log);
        let app = App::new().app_data(self.stage.app.clone()).wrap(headers()).wrap(log);
        let app = test::init_service(app.configure(configure)).await;
        let mut request = test::TestRequest::with_uri(uri)
            .method(method)
            .insert_header(("Accept-Language", self.language));
        for cookie in &self.cookies {
            request = request.cookie(cookie.clone());
        }
        if let Some(form) = form {
            request = request
                .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
                .set_payload(form);
        }
        let response = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in response.response().cookies() {
            let cookie = cookie.into_owned();
            self.cookies.retain(|c| c.name() != cookie.name());
            if !cookie.value().is_empty() {
                self.cookies.push(cookie);
            }
        }
        let body = test::read_body(response).await;
        Answer { status, headers, html: String::from_utf8_lossy(&body).into_owned() }
    }

    async fn get(&mut self, uri: &str) -> Answer {
        self.send(Method::GET, uri, None).await
    }

    async fn post(&mut self, uri: &str, fields: &[(&str, &str)]) -> Answer {
        let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
        let form: Vec<String> =
            fields.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
        self.send(Method::POST, uri, Some(form.join("&"))).await
    }

    /// Fills the booking form in and sends it, with some fields changed.
    async fn book(&mut self, changes: &[(&str, &str)]) -> Answer {
        let page = self.get(&book_address(self.stage)).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.html);
        self.book_from(&page, changes).await
    }

    async fn book_from(&mut self, page: &Answer, changes: &[(&str, &str)]) -> Answer {
        let hidden = ["form", "key", "count", "service", "from", "to", "class"];
        let values: Vec<String> = hidden.iter().map(|name| page.hidden(name)).collect();
        let mut fields: Vec<(&str, &str)> =
            hidden.iter().copied().zip(values.iter().map(String::as_str)).collect();
        fields.extend([
            ("action", "hold"),
            ("p0-name", "Jürgen <script>alert(1)</script> & \"Söhne\""),
            ("p0-kind", "passport"),
            ("p0-document", "E12345678"),
            ("contact", ""),
            ("pickup", "ber"),
            ("card", CARD),
            ("secret", "Kranich 7"),
        ]);
        for (name, value) in changes {
            fields.retain(|(known, _)| known != name);
            fields.push((name, value));
        }
        self.post("/book", &fields).await
    }
}

fn book_address(stage: &Stage) -> String {
    let date = stage.line.today().tomorrow().expect("a day").to_string();
    let journeys = stage.app.desk.info.journeys("ber", "ham", &date);
    let service = journeys[0].product.service;
    format!("/book?service={service}&from=ber&to=ham&class=2&passengers=1")
}

#[actix_web::test]
async fn a_booking_through_the_pages() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    let home = browser.get("/").await;
    assert!(home.html.contains("<html lang=\"en\">") && home.html.contains("id=\"search\""));
    let date = stage.line.today().tomorrow().expect("a day");
    let trains = browser
        .get(&format!("/journeys?from_text=berlin+hbf&to_text=Hamb&date={date}&passengers=2"))
        .await;
    assert!(trains.html.contains("id=\"choose-0-2\""), "typed names are enough");
    assert!(trains.html.contains("153 weeks"), "the moved calendar is told");
    let seats = browser.get(&book_address(&stage).replace("/book", "/seats")).await;
    assert!(seats.html.contains("type=\"checkbox\"") && seats.html.contains("disabled"));

    let placed = browser.book(&[]).await;
    assert_eq!(placed.status, StatusCode::SEE_OTHER, "{}", placed.html);
    assert!(placed.headers.contains_key("x-correlation-id"));
    let address = placed.location().to_owned();
    let page = browser.get(&address).await;
    assert!(page.html.contains("data-code=\"held\""));
    assert!(page.html.contains("Jürgen &#60;script&#62;"), "names are text, not markup");
    assert!(!page.html.contains("<script>alert"));
    assert!(!page.html.replace(' ', "").contains("6210948000000011"), "the card is masked");
    assert_eq!(page.headers.get("cache-control").expect("one"), "no-store");

    let path = address.split('?').next().expect("a path").to_owned();
    let ask = browser.get(&format!("{path}/cancel")).await;
    let (form, key) = (ask.hidden("form"), ask.hidden("key"));
    let fields = [("form", form.as_str()), ("key", key.as_str())];
    let cancelled = browser.post(&format!("{path}/cancel"), &fields).await;
    assert_eq!((cancelled.status, cancelled.location()), (StatusCode::SEE_OTHER, path.as_str()));
    assert!(browser.get(&path).await.html.contains("data-code=\"cancelled\""));
    let late = browser.get(&format!("{path}/cancel")).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "there is nothing left to cancel");
}

/// Books, pays and takes the ticket; gives the booking's path.
async fn collected(stage: &Stage, browser: &mut Browser<'_>) -> String {
    let placed = browser.book(&[]).await;
    let path = placed.location().split('?').next().expect("a path").to_owned();
    let reference = path.rsplit('/').next().and_then(Reference::parse).expect("a reference");
    stage.world.collect(reference);
    path
}

#[actix_web::test]
async fn a_ticket_is_given_back_through_the_pages_in_both_languages() {
    for (language, kept, done) in [
        ("en", "Is kept (fee, and the part your fare keeps)", "taken by the bank on 2026-11-23"),
        ("zh-CN", "不退（手续费及票价中的退票费）", "银行已于 2026-11-23 受理"),
    ] {
        let stage = stage(100);
        let mut browser = Browser::new(&stage, language);
        let path = collected(&stage, &mut browser).await;
        let address = format!("{path}/lines/0/refund");
        let mine = browser.get(&path).await.html;
        assert!(mine.contains(&format!("id=\"give-back-0\" href=\"{address}\"")), "{mine}");
        let ask = browser.get(&address).await;
        assert!(ask.html.contains("id=\"back\">€16.11<"), "{}", ask.html);
        assert!(ask.html.contains(kept) && ask.html.contains("id=\"kept\">€2.79<"));
        assert!(!ask.html.contains("give-back-0"), "the question has no link to itself");
        let (form, key) = (ask.hidden("form"), ask.hidden("key"));
        let foreign = browser.post(&address, &[("form", "0"), ("key", &key)]).await;
        assert_eq!(foreign.status, StatusCode::FORBIDDEN);
        let given = browser.post(&address, &[("form", &form), ("key", &key)]).await;
        assert_eq!((given.status, given.location()), (StatusCode::SEE_OTHER, path.as_str()));
        let page = browser.get(&path).await.html;
        assert!(page.contains("data-code=\"refunded\"") && page.contains(done), "{page}");
        assert!(!page.contains("give-back-0") && page.contains("id=\"again\""));
        for uri in [&address, &format!("{path}/lines/3/refund")] {
            let status = browser.get(uri).await.status;
            assert!(matches!(status, StatusCode::CONFLICT | StatusCode::NOT_FOUND), "{uri}");
        }
        let late = browser.post(&address, &[("form", &form), ("key", "another")]).await;
        assert_eq!(late.status, StatusCode::CONFLICT, "it was given back already");
        let mut other = Browser::new(&stage, language);
        assert_eq!(other.get(&address).await.status, StatusCode::FORBIDDEN, "not opened here");
    }
}

#[actix_web::test]
async fn a_refund_that_the_bank_refuses_is_told() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    let path = collected(&stage, &mut browser).await;
    stage.world.stingy.store(true, Ordering::Relaxed);
    let address = format!("{path}/lines/0/refund");
    let ask = browser.get(&address).await;
    let fields = [("form", ask.hidden("form")), ("key", ask.hidden("key"))];
    browser.post(&address, &fields.each_ref().map(|(n, v)| (*n, v.as_str()))).await;
    let page = browser.get(&path).await.html;
    assert!(page.contains("class=\"refund\" data-code=\"refused\""), "{page}");
}

#[actix_web::test]
async fn a_receipt_that_the_terminal_could_not_print_is_with_the_booking() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    let held = browser.book(&[]).await.location().to_owned();
    assert!(!browser.get(&held).await.html.contains("card receipt"), "nothing is paid");
    stage.world.no_receipts.store(true, Ordering::Relaxed);
    let path = collected(&stage, &mut browser).await;
    let page = browser.get(&path).await.html;
    let card = page.split("card receipt").nth(1).and_then(|p| p.split("</section>").next());
    let card = card.expect("a receipt").to_owned();
    for said in ["this is your receipt", "€18.90", "A00001", "2026-11-23", "Mon 23 Nov 2026, "] {
        assert!(card.contains(said), "{said}: {card}");
    }
    let numbers = card.split("class=\"mono\">").skip(1).filter_map(|p| p.split('<').next());
    let numbers: Vec<&str> = numbers.collect();
    let [number, approval, rrn] = numbers[..] else { panic!("three numbers: {numbers:?}") };
    assert!(number.len() >= 12 && number.bytes().all(|b| b.is_ascii_digit()), "{number}");
    assert_eq!((approval, rrn.len()), ("A00001", 12));
    assert!(!page.replace(' ', "").contains("6210948000000011"), "the card is masked");
}

#[actix_web::test]
async fn an_arrival_of_the_next_day_says_so_wherever_it_stands() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    let date = stage.line.today().tomorrow().expect("a day").to_string();
    let info = &stage.app.desk.info;
    let ferry = info.journeys("kie", "osl", &date).swap_remove(0).product.service.to_string();
    let trip = format!("service={ferry}&from=kie&to=osl&class=2&passengers=1");
    let says = |html: &str| {
        html.contains("<time>06:00</time><sup aria-hidden=\"true\">+1 d</sup>")
            && html.contains("arrives 1 day(s) later")
    };
    let list = browser.get(&format!("/journeys?from=kie&to=osl&date={date}&passengers=1")).await;
    assert!(says(&list.html) && list.html.contains("1 connection"), "{}", list.html);
    assert!(!list.html.contains("train<"), "a ferry is no train");
    for page in ["seats", "book"] {
        let html = browser.get(&format!("/{page}?{trip}")).await.html;
        assert!(says(&html), "{page}: {html}");
    }
    let changes = [("service", ferry.as_str()), ("from", "kie"), ("to", "osl")];
    let placed = browser.book(&changes).await;
    assert_eq!(placed.status, StatusCode::SEE_OTHER, "{}", placed.html);
    let path = placed.location().split('?').next().expect("a path").to_owned();
    for uri in [path.clone(), format!("{path}/cancel")] {
        let html = browser.get(&uri).await.html;
        assert!(says(&html), "{uri}: {html}");
    }
    let same_day = browser.get(&book_address(&stage)).await.html;
    assert!(!same_day.contains("<sup"), "a train of the day says nothing");
}

#[actix_web::test]
async fn data_that_are_behind_are_told_above_the_list() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    let date = stage.line.today().tomorrow().expect("a day");
    let address = format!("/journeys?from=ber&to=ham&date={date}&passengers=1");
    assert!(!browser.get(&address).await.html.contains("out of step"), "it is in step");
    stage.line.behind.store(true, Ordering::Relaxed);
    let page = browser.get(&address).await.html;
    let above = page.split("id=\"trains\"").next().expect("a list");
    let told = "Deutsche Bahn: the link is out of step; last update 60 min ago.";
    assert!(above.contains("class=\"notice\"") && above.contains(told), "{page}");
}

#[actix_web::test]
async fn wishes_reach_the_booking_unless_a_seat_was_picked() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    let address = book_address(&stage);
    let page = browser.get(&address).await;
    for wish in ["p0-window", "p0-wheelchair"] {
        assert!(page.html.contains(&format!("name=\"{wish}\"")), "{wish} can be wished for");
    }
    let placed = browser.book(&[("p0-wheelchair", "1")]).await;
    assert_eq!(placed.status, StatusCode::SEE_OTHER, "{}", placed.html);
    let mine = browser.get(placed.location()).await;
    assert!(
        mine.html.contains("Coach 3, seat 01"),
        "the only place for wheelchairs: {}",
        mine.html
    );

    let date = stage.line.today().tomorrow().expect("a day").to_string();
    let product = stage.app.desk.info.journeys("ber", "ham", &date)[0].product.clone();
    let seats = stage.app.desk.info.seats(product.service, product.run, 2);
    let free = seats.iter().find(|s| s.free).expect("a free seat").unit.0;
    let picked = browser.get(&format!("{address}&seat={free}")).await;
    assert!(!picked.html.contains("p0-window"), "a picked seat is the wish");
}

#[actix_web::test]
async fn a_form_that_is_not_ours_does_nothing() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    let placed = browser.book(&[]).await;
    let path = placed.location().split('?').next().expect("a path").to_owned();
    let cancel = format!("{path}/cancel");
    for (uri, fields) in [
        ("/bookings", vec![("reference", "0000000000"), ("secret", "abcd")]),
        ("/bookings/close", vec![]),
        (cancel.as_str(), vec![("key", "k")]),
        ("/book", vec![("action", "hold")]),
    ] {
        for form in ["", "0", &"0".repeat(64)] {
            let mut fields = fields.clone();
            fields.push(("form", form));
            assert_eq!(browser.post(uri, &fields).await.status, StatusCode::FORBIDDEN, "{uri}");
        }
    }
    assert_eq!(browser.book(&[("form", "")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.safe.everybody().len(), 1, "nobody else was stored");
    assert!(browser.get(&path).await.html.contains("data-code=\"held\""), "still held");
}

#[actix_web::test]
async fn everything_wrong_is_told_at_once_and_the_card_is_never_repeated() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "zh-CN");
    let wrong = [
        ("p0-name", ""),
        ("p0-kind", "x"),
        ("p0-document", " "),
        ("card", "6210 9480 0000 0012"),
        ("pickup", ""),
        ("pickup_text", "Berlin"),
        ("secret", "abc"),
        ("contact", "<img src=x onerror=alert(1)>"),
    ];
    let page = browser.book(&wrong).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for field in ["p0-name", "p0-kind", "p0-document", "card", "pickup", "secret"] {
        assert!(page.html.contains(&format!("href=\"#{field}\"")), "{field} is in the list");
        assert!(page.html.contains(&format!("id=\"{field}-wrong\"")), "{field} says it too");
    }
    assert!(page.html.contains("有 6 处需要修改"));
    assert!(!page.html.contains("0000 0012") && !page.html.contains("0012"), "card");
    assert!(!page.html.contains("<img src=x"), "what was typed is text");
    assert!(stage.safe.everybody().is_empty());

    let more = browser.book_from(&page, &[("action", "add")]).await;
    assert!(more.html.contains("id=\"p1-name\"") && !more.html.contains("id=\"errors\""));
    let fewer = browser.book_from(&more, &[("action", "remove-1")]).await;
    assert!(!fewer.html.contains("id=\"p1-name\""));
    let gone = browser.book(&[("service", "s-001-0000000000000001")]).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let lost = browser.book(&[("seat", "60000")]).await;
    assert_eq!(lost.status, StatusCode::UNPROCESSABLE_ENTITY, "a picked seat is gone");
}

#[actix_web::test]
async fn the_same_form_books_once() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    let page = browser.get(&book_address(&stage)).await;
    let first = browser.book_from(&page, &[]).await;
    let second = browser.book_from(&page, &[]).await;
    assert_eq!(first.location(), second.location());
    let other = browser.book_from(&page, &[("p0-document", "other")]).await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert_eq!(stage.safe.everybody().len(), 1);
}

#[actix_web::test]
async fn a_booking_opens_with_both_and_closes_again() {
    let stage = stage(100);
    let mut owner = Browser::new(&stage, "en");
    let placed = owner.book(&[]).await;
    let path = placed.location().split('?').next().expect("a path").to_owned();
    let reference = path.rsplit('/').next().expect("a reference").to_owned();
    let mut other = Browser::new(&stage, "en");
    assert_eq!(other.get(&path).await.status, StatusCode::FORBIDDEN, "not opened here");
    let form = other.get("/bookings").await.hidden("form");
    let tries =
        [(reference.as_str(), "wrong", 404), ("0123456789", "Kranich 7", 404), ("", "", 422)];
    let mut said = Vec::new();
    for (reference, secret, status) in tries {
        let fields = [("form", form.as_str()), ("reference", reference), ("secret", secret)];
        let page = other.post("/bookings", &fields).await;
        assert_eq!(page.status.as_u16(), status);
        said.push(page.html.replace(reference, ""));
    }
    assert_eq!(said[0], said[1].replace("0123456789", ""), "nobody learns which half is wrong");
    let lower = reference.to_lowercase();
    let fields = [("form", form.as_str()), ("reference", lower.as_str()), ("secret", "KRANICH 7")];
    assert_eq!(other.post("/bookings", &fields).await.location(), path);
    assert_eq!(other.get(&path).await.status, StatusCode::OK);

    let before = stage.safe.readings.load(Ordering::Relaxed);
    let version = other.get(&format!("{path}?part=version")).await;
    assert!(version.html.starts_with("{\"version\":"), "{}", version.html);
    assert_eq!(stage.safe.readings.load(Ordering::Relaxed), before, "no personal data is read");

    stage.line.pass(OPEN_MINUTES * 60_000_000);
    assert_eq!(owner.get(&path).await.status, StatusCode::FORBIDDEN, "its time is over");
    stage.line.pass(-OPEN_MINUTES * 60_000_000);
    other.post("/bookings/close", &[("form", &form)]).await;
    assert_eq!(other.get(&path).await.status, StatusCode::FORBIDDEN, "closed");
}

#[actix_web::test]
async fn a_busy_center_and_too_many_tries_keep_what_was_typed() {
    let stage = stage(2);
    let mut browser = Browser::new(&stage, "en");
    assert_eq!(browser.book(&[]).await.status, StatusCode::SEE_OTHER);
    stage.world.busy.store(true, Ordering::Relaxed);
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        let page = browser.book(&[]).await;
        assert_eq!(page.status, status);
        assert!(page.html.contains("id=\"errors\"") && page.html.contains("E12345678"));
    }
}

#[actix_web::test]
async fn a_refused_and_a_pending_booking_are_shown() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    stage.world.silent.store(true, Ordering::Relaxed);
    let date = stage.line.today().tomorrow().expect("a day").to_string();
    let live = stage.app.desk.info.journeys("ber", "ham", &date).swap_remove(1).product.service;
    let page = browser.book(&[("service", &live.to_string())]).await;
    let path = page.location().to_owned();
    let html = browser.get(&path).await.html;
    assert!(html.contains("data-code=\"pending\"") && html.contains("id=\"refresh\""), "{html}");
    stage.world.refusing.store(true, Ordering::Relaxed);
    stage.world.speak();
    let html = browser.get(&path).await.html;
    assert!(html.contains("data-code=\"refused\"") && html.contains("id=\"again\""), "{html}");
}

#[actix_web::test]
async fn languages_follow_the_browser_and_then_the_person() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "zh-CN,zh;q=0.9");
    let home = browser.get("/").await;
    assert!(home.html.contains("<html lang=\"zh-CN\">") && home.html.contains("查询班次"));
    let changed = browser.get("/language/en?back=%2Fbookings").await;
    assert_eq!((changed.status, changed.location()), (StatusCode::SEE_OTHER, "/bookings"));
    assert!(browser.get("/bookings").await.html.contains("<html lang=\"en\">"));
    assert_eq!(browser.get("/language/en?back=%2F%2Fevil.example").await.location(), "/");
    assert_eq!(browser.get("/language/xx?back=%2F").await.status, StatusCode::SEE_OTHER);
}

#[actix_web::test]
async fn addresses_that_lead_nowhere_and_typed_markup() {
    let stage = stage(100);
    let mut browser = Browser::new(&stage, "en");
    let page = browser.get("/nowhere").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.html.contains("There is no such page"));
    let csp = page.headers.get("content-security-policy").and_then(|v| v.to_str().ok());
    assert!(csp.is_some_and(|c| c.contains("script-src 'self'") && !c.contains("unsafe")));
    for bad in ["?from_text=%3Cb%3Ex&to_text=Ber&date=2026-99-99", "", "?passengers=99"] {
        let page = browser.get(&format!("/journeys{bad}")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
        assert!(page.html.contains("id=\"errors\"") && !page.html.contains("<b>x"), "{bad}");
    }
    let same = browser.get("/journeys?from=ber&to=ber&date=2026-11-24").await;
    assert!(same.html.contains("href=\"#to\""));
    assert_eq!(browser.get("/seats?service=x").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/assets/none.css").await.status, StatusCode::NOT_FOUND);
    let style = browser.get("/assets/site.css").await;
    assert!(
        style
            .headers
            .get("cache-control")
            .is_some_and(|v| v == "public, max-age=31536000, immutable")
    );
    assert!(!style.html.contains("http:") && !style.html.contains("@import"), "nothing foreign");
}
