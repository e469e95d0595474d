//! The JSON API: what it answers, whatever it is sent.

mod world;

use std::sync::atomic::Ordering;

use actix_web::http::{Method, StatusCode};
use actix_web::{App, test};
use guichet_engine::ids::Reference;
use guichet_web::api::BODY_BYTES_MAX;
use guichet_web::server::{configure, headers};
use proptest::prelude::*;
use serde_json::{Value, json};
use world::{Stage, stage};

const CARD: &str = "6210948000000011";

/// The whole app, as it is served.
macro_rules! service {
    ($stage:expr) => {{
        let log = actix_web::middleware::from_fn(guichet_web::trace::log);
        let app = App::new().app_data($stage.app.clone()).wrap(headers()).wrap(log);
        test::init_service(app.configure(configure)).await
    }};
}

/// Method, address, body, and what is answered: status, kind and field.
type Case<'a> = (&'a Method, String, String, u16, (&'static str, Option<String>));

/// Sends a request; gives status, headers and body.
macro_rules! send {
    ($app:expr, $request:expr) => {{
        let response = test::call_service(&$app, $request.to_request()).await;
        let status = response.status();
        let headers = response.headers().clone();
        let body = test::read_body(response).await;
        (status, headers, body)
    }};
}

macro_rules! json_of {
    ($app:expr, $request:expr) => {{
        let (status, headers, body) = send!($app, $request);
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (status, headers, value)
    }};
}

fn tomorrow(stage: &Stage) -> String {
    stage.line.today().tomorrow().expect("a day").to_string()
}

/// A train of tomorrow, allotted or live.
fn service_id(stage: &Stage, live: bool) -> String {
    let journeys = stage.app.desk.info.journeys("ber", "ham", &tomorrow(stage));
    journeys[usize::from(live)].product.service.to_string()
}

fn order(stage: &Stage) -> Value {
    json!({
        "passengers": [{ "name": "李娜", "document_kind": "passport", "document": "E1" }],
        "lines": [{ "service": service_id(stage, false), "from": "ber", "to": "ham", "class": 2, "passenger": 0 }],
        "card": CARD,
        "second_factor": "Kranich 7"
    })
}

fn post(body: &Value, key: &str) -> test::TestRequest {
    test::TestRequest::post()
        .uri("/api/v1/orders")
        .insert_header(("Idempotency-Key", key))
        .set_payload(body.to_string())
}

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    *body.pointer_mut(pointer).expect("a field") = value;
    body
}

#[actix_web::test]
async fn a_search_leads_to_a_booking_that_opens_and_ends() {
    let stage = stage(100);
    let app = service!(stage);
    let get = |uri: &str| test::TestRequest::get().uri(uri);
    let (status, _, stations) = json_of!(app, get("/api/v1/stations?q=berlin"));
    assert_eq!((status, stations.as_array().map(Vec::len)), (StatusCode::OK, Some(2)));
    let uri = format!("/api/v1/journeys?from=ber&to=ham&date={}", tomorrow(&stage));
    let (_, _, journeys) = json_of!(app, get(&uri));
    let service = journeys[0]["service"].as_str().expect("a service");
    let uri = format!("/api/v1/journeys/{service}/seats?from=ber&to=ham&class=2");
    let (_, _, seats) = json_of!(app, get(&uri));
    let free = seats.as_array().expect("seats").iter().find(|s| s["free"] == true).expect("one");
    let body = with(
        order(&stage),
        "/lines/0",
        json!({
            "service": service, "from": "ber", "to": "ham", "class": 2, "passenger": 0, "seat": free["unit"]
        }),
    );
    let (status, headers, placed) = json_of!(app, post(&body, "key-number-1"));
    assert_eq!((status, &placed["state"]), (StatusCode::CREATED, &json!("held")), "{placed}");
    assert_eq!(placed["lines"][0]["seat"], free["seat"]);
    assert_eq!(headers.get("x-correlation-id").map(|v| v.len()), Some(32));
    assert!(headers.contains_key("x-request-id"));
    assert_eq!(headers.get("cache-control").expect("one"), "no-store");
    assert!(!placed.to_string().contains(CARD), "the card is masked");

    let reference = placed["reference"].as_str().expect("a reference");
    let uri = format!("/api/v1/orders/{reference}");
    let open = |factor: &'static str| {
        test::TestRequest::get().uri(&uri).insert_header(("X-Second-Factor", factor))
    };
    let (status, _, seen) = json_of!(app, open("KRANICH7"));
    assert_eq!((status, seen), (StatusCode::OK, placed));
    let cancel = test::TestRequest::post()
        .uri(&format!("{uri}/cancel"))
        .insert_header(("X-Second-Factor", "Kranich 7"))
        .insert_header(("Idempotency-Key", "cancel-number-1"));
    let (status, _, ended) = json_of!(app, cancel);
    assert_eq!((status, &ended["state"]), (StatusCode::OK, &json!("cancelled")));
}

#[actix_web::test]
async fn a_ticket_is_given_back_once_and_the_receipt_says_what_goes_back() {
    let stage = stage(100);
    let app = service!(stage);
    let (_, _, placed) = json_of!(app, post(&order(&stage), "key-number-1"));
    let text = placed["reference"].as_str().expect("a reference").to_owned();
    let uri = format!("/api/v1/orders/{text}/lines/0/refund");
    let give = |uri: &str, factor: &'static str, key: &'static str| {
        test::TestRequest::post()
            .uri(uri)
            .insert_header(("X-Second-Factor", factor))
            .insert_header(("Idempotency-Key", key))
    };
    let (status, _, early) = json_of!(app, give(&uri, "Kranich 7", "give-number-0"));
    assert_eq!((status, &early["code"]), (StatusCode::CONFLICT, &json!(12)), "not issued: {early}");
    assert_eq!(placed["receipts"], json!([]), "nothing was paid");

    stage.world.collect(Reference::parse(&text).expect("a reference"));
    let look = || {
        let uri = format!("/api/v1/orders/{text}");
        test::TestRequest::get().uri(&uri).insert_header(("X-Second-Factor", "Kranich 7"))
    };
    let (_, _, issued) = json_of!(app, look());
    assert_eq!(
        (&issued["state"], &issued["lines"][0]["refundable_minor"]),
        (&json!("issued"), &json!(1611))
    );
    let receipt = &issued["receipts"][0];
    assert_eq!((&receipt["charged_minor"], &receipt["refunded_minor"]), (&json!(1890), &json!(0)));
    assert_eq!((&receipt["approval_code"], &receipt["printed"]), (&json!("A00001"), &json!(true)));
    assert_eq!(receipt["business_date"], "2026-11-23");
    let text_of = |name: &str| receipt[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(text_of("retrieval_reference").len(), 12, "{receipt}");
    let number = text_of("number");
    assert!(number.len() >= 12 && number.bytes().all(|b| b.is_ascii_digit()), "{receipt}");

    for (uri, factor, status) in [
        (uri.clone(), "wrong", 404),
        (uri.replace("lines/0", "lines/7"), "Kranich 7", 422),
        (uri.replace("lines/0", "lines/x"), "Kranich 7", 422),
    ] {
        let (answered, headers, _) = json_of!(app, give(&uri, factor, "give-number-1"));
        assert_eq!(answered.as_u16(), status, "{uri}");
        assert_eq!(headers.get("content-type").expect("one"), "application/problem+json");
    }
    let no_key =
        test::TestRequest::post().uri(&uri).insert_header(("X-Second-Factor", "Kranich 7"));
    assert_eq!(json_of!(app, no_key).2["field"], "Idempotency-Key");

    let (status, _, given) = json_of!(app, give(&uri, "Kranich 7", "give-number-2"));
    assert_eq!((status, &given["state"]), (StatusCode::OK, &json!("refunded")), "{given}");
    let refund = json!({ "amount_minor": 1611, "state": "done", "business_date": "2026-11-23" });
    assert_eq!(given["lines"][0]["refund"], refund);
    assert_eq!(given["receipts"][0]["refunded_minor"], 1611);
    let (status, _, again) = json_of!(app, give(&uri, "Kranich 7", "give-number-2"));
    assert_eq!((status, again), (StatusCode::OK, given), "the same key, the same answer");
    let (status, _, twice) = json_of!(app, give(&uri, "Kranich 7", "give-number-3"));
    assert_eq!((status, &twice["code"]), (StatusCode::CONFLICT, &json!(12)), "{twice}");
}

#[actix_web::test]
async fn a_ticket_is_not_given_back_after_departure() {
    let stage = stage(100);
    let app = service!(stage);
    let (_, _, placed) = json_of!(app, post(&order(&stage), "key-number-1"));
    let text = placed["reference"].as_str().expect("a reference").to_owned();
    stage.world.collect(Reference::parse(&text).expect("a reference"));
    stage.line.pass(2 * 86_400_000_000);
    let late = test::TestRequest::post()
        .uri(&format!("/api/v1/orders/{text}/lines/0/refund"))
        .insert_header(("X-Second-Factor", "Kranich 7"))
        .insert_header(("Idempotency-Key", "give-number-1"));
    let (status, _, problem) = json_of!(app, late);
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!(29)), "{problem}");
    let seen = test::TestRequest::get()
        .uri(&format!("/api/v1/orders/{text}"))
        .insert_header(("X-Second-Factor", "Kranich 7"));
    assert_eq!(json_of!(app, seen).2["lines"][0]["refundable_minor"], Value::Null);
}

#[actix_web::test]
async fn problems_say_what_and_where() {
    let stage = stage(1000);
    let app = service!(stage);
    let good = order(&stage);
    let other = |pointer: &str, value: Value| with(good.clone(), pointer, value).to_string();
    let long = "x".repeat(61);
    let many = vec![good["passengers"][0].clone(); 10];
    let unknown_service = "s-001-0000000000000001";
    let orders = "/api/v1/orders";
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let date = tomorrow(&stage);
    let field = |name: &str| ("bad-field", Some(name.to_owned()));
    let cases: Vec<Case<'_>> = vec![
        (&get, "/api/v1/none".into(), String::new(), 404, ("no-such-path", None)),
        (&put, "/api/v1/stations".into(), String::new(), 405, ("wrong-method", None)),
        (&get, orders.into(), String::new(), 405, ("wrong-method", None)),
        (&get, "/api/v1/journeys?from=ber".into(), String::new(), 400, ("bad-query", None)),
        (
            &get,
            "/api/v1/journeys?from=ber&to=ham&date=tomorrow".into(),
            String::new(),
            422,
            field("date"),
        ),
        (
            &get,
            format!("/api/v1/journeys?from=x1&to=ham&date={date}"),
            String::new(),
            422,
            field("from"),
        ),
        (
            &get,
            "/api/v1/journeys/nonsense/seats?from=ber&to=ham&class=2".into(),
            String::new(),
            422,
            field("service"),
        ),
        (
            &get,
            format!("/api/v1/journeys/{unknown_service}/seats?from=ber&to=ham&class=300"),
            String::new(),
            400,
            ("bad-query", None),
        ),
        (&get, "/api/v1/orders/0000000000".into(), String::new(), 404, ("no-such-order", None)),
        (&get, "/api/v1/orders/%F0%9F%9A%82".into(), String::new(), 404, ("no-such-order", None)),
        (&post, orders.into(), "{".into(), 400, ("bad-json", None)),
        (&post, orders.into(), "[]".into(), 400, ("bad-json", None)),
        (&post, orders.into(), r#"{"card":"1"}"#.into(), 400, ("bad-json", None)),
        (&post, orders.into(), "x".repeat(BODY_BYTES_MAX + 1), 413, ("too-large", None)),
        (&post, orders.into(), "x".repeat(BODY_BYTES_MAX), 400, ("bad-json", None)),
        (&post, orders.into(), other("/card", json!("6210948000000012")), 422, field("card")),
        (&post, orders.into(), other("/second_factor", json!("abc")), 422, field("second_factor")),
        (&post, orders.into(), other("/passengers", json!([])), 422, field("passengers")),
        (&post, orders.into(), other("/passengers", json!(many)), 422, field("passengers")),
        (
            &post,
            orders.into(),
            other("/passengers/0/name", json!(" ")),
            422,
            field("passengers[0].name"),
        ),
        (
            &post,
            orders.into(),
            other("/passengers/0/name", json!(long)),
            422,
            field("passengers[0].name"),
        ),
        (
            &post,
            orders.into(),
            other("/passengers/0/document_kind", json!("x")),
            422,
            field("passengers[0].document_kind"),
        ),
        (&post, orders.into(), other("/lines", json!([])), 422, field("lines")),
        (
            &post,
            orders.into(),
            other("/lines/0/passenger", json!(1)),
            422,
            field("lines[0].passenger"),
        ),
        (&post, orders.into(), other("/lines/0/class", json!(3)), 422, field("lines[0].class")),
        (
            &post,
            orders.into(),
            other("/lines/0/service", json!(unknown_service)),
            422,
            field("lines[0].service"),
        ),
    ];
    for (method, uri, body, status, (kind, field)) in cases {
        let request = test::TestRequest::with_uri(&uri)
            .method(method.clone())
            .insert_header(("Idempotency-Key", "key-number-1"))
            .insert_header(("X-Second-Factor", "abcd"))
            .set_payload(body.clone());
        let (answered, headers, problem) = json_of!(app, request);
        let said = format!("{method} {uri} {}", body.get(..60.min(body.len())).unwrap_or_default());
        assert_eq!(answered.as_u16(), status, "{said}: {problem}");
        assert_eq!(problem["status"], status, "{said}");
        assert_eq!(problem["type"], format!("/problems/{kind}"), "{said}");
        assert_eq!(problem["field"].as_str(), field.as_deref(), "{said}");
        assert_eq!(headers.get("content-type").expect("one"), "application/problem+json", "{said}");
        assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()), "{said}");
    }
    let no_key = test::TestRequest::post().uri(orders).set_payload(good.to_string());
    assert_eq!(json_of!(app, no_key).2["field"], "Idempotency-Key");
    assert_eq!(json_of!(app, short_key(&good)).2["field"], "Idempotency-Key");
    assert!(stage.safe.everybody().is_empty(), "nothing of these was stored");
}

fn short_key(body: &Value) -> test::TestRequest {
    post(body, "7 chars")
}

#[actix_web::test]
async fn the_same_key_books_once() {
    let stage = stage(100);
    let app = service!(stage);
    let body = order(&stage);
    let (_, _, first) = json_of!(app, post(&body, "the-same-key"));
    let (status, _, again) = json_of!(app, post(&body, "the-same-key"));
    assert_eq!((status, &again), (StatusCode::CREATED, &first));
    assert_eq!(stage.safe.everybody().len(), 1, "the person is stored once");
    let other_name = with(body.clone(), "/passengers/0/name", json!("Somebody Else"));
    let other_card = with(body.clone(), "/card", json!("4111111111111111"));
    for other in [other_name, other_card] {
        let (status, _, problem) = json_of!(app, post(&other, "the-same-key"));
        assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!(1)), "{problem}");
    }
    let (_, _, second) = json_of!(app, post(&body, "another-key"));
    assert_ne!(second["reference"], first["reference"]);
}

#[actix_web::test]
async fn a_wrong_factor_and_an_unknown_reference_answer_alike() {
    let stage = stage(100);
    let app = service!(stage);
    let (_, _, placed) = json_of!(app, post(&order(&stage), "key-number-1"));
    let reference = placed["reference"].as_str().expect("a reference").to_owned();
    let mut answers = Vec::new();
    for reference in [reference.as_str(), "0123456789"] {
        let request = test::TestRequest::get()
            .uri(&format!("/api/v1/orders/{reference}"))
            .insert_header(("X-Second-Factor", "wrong"));
        let (status, _, body) = send!(app, request);
        answers.push((status, body));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn one_try_too_many_is_told_when_to_come_back() {
    let stage = stage(3);
    let app = service!(stage);
    let look = || {
        test::TestRequest::get()
            .uri("/api/v1/orders/0000000000")
            .peer_addr(([10, 0, 0, 1], 1).into())
    };
    for _ in 0..3 {
        assert_eq!(send!(app, look()).0, StatusCode::NOT_FOUND);
    }
    let (status, headers, problem) = json_of!(app, look());
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(headers.get("retry-after").expect("one"), "1");
    assert_eq!(problem["retry_after"], 1);
    let other = look().peer_addr(([10, 0, 0, 2], 1).into());
    assert_eq!(send!(app, other).0, StatusCode::NOT_FOUND, "another address has its own tries");
    let search = test::TestRequest::get().uri("/api/v1/stations?q=b");
    assert_eq!(send!(app, search).0, StatusCode::OK, "a search is not counted");
}

#[actix_web::test]
async fn what_the_world_does_is_told() {
    let stage = stage(100);
    let app = service!(stage);
    let live = with(order(&stage), "/lines/0/service", json!(service_id(&stage, true)));
    stage.world.silent.store(true, Ordering::Relaxed);
    let (status, _, pending) = json_of!(app, post(&live, "key-number-1"));
    assert_eq!((status, &pending["state"]), (StatusCode::CREATED, &json!("pending")));
    stage.world.speak();
    let (_, _, held) = json_of!(app, post(&live, "key-number-1"));
    assert_eq!(held["state"], "held", "{held}");
    stage.world.refusing.store(true, Ordering::Relaxed);
    let (_, _, refused) = json_of!(app, post(&live, "key-number-2"));
    assert_eq!(
        (&refused["state"], &refused["lines"][0]["ended"]),
        (&json!("refused"), &json!("sold_out"))
    );
    stage.world.busy.store(true, Ordering::Relaxed);
    let (status, headers, problem) = json_of!(app, post(&live, "key-number-3"));
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("/problems/busy"))
    );
    assert!(headers.contains_key("retry-after"));
}

#[actix_web::test]
async fn the_description_names_every_path() {
    let stage = stage(100);
    let app = service!(stage);
    let (_, _, api) = json_of!(app, test::TestRequest::get().uri("/api/v1/openapi.json"));
    let paths: Vec<&String> = api["paths"].as_object().expect("paths").keys().collect();
    assert_eq!(paths.len(), 9, "{paths:?}");
    assert!(paths.iter().all(|p| p.starts_with("/api/v1/")));
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/metrics", 404)] {
        assert_eq!(send!(app, test::TestRequest::get().uri(path)).0.as_u16(), status, "{path}");
    }
    let brought = test::TestRequest::get()
        .uri("/livez")
        .insert_header(("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    let (_, headers, _) = send!(app, brought);
    assert_eq!(headers.get("x-request-id").expect("one"), "4bf92f3577b34da6a3ce929d0e0e4736");
}

/// A booking in which one field became something else.
fn bent() -> impl Strategy<Value = (usize, String)> {
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        any::<String>().prop_map(|s| json!(s).to_string()),
    ];
    (0usize..12, value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[::core::prelude::v1::test]
    fn no_body_is_our_fault(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        (field, value) in bent(),
        cut in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
        path in "[ -~]{0,40}",
    ) {
        actix_web::rt::System::new().block_on(async {
            let stage = stage(1000);
            let app = service!(stage);
            let good = order(&stage).to_string();
            let fields = [
                "/passengers", "/passengers/0", "/passengers/0/name", "/passengers/0/document",
                "/passengers/0/document_kind", "/lines", "/lines/0", "/lines/0/service",
                "/lines/0/class", "/lines/0/passenger", "/card", "/second_factor",
            ];
            let value = serde_json::from_str(&value).unwrap_or(Value::Null);
            let bent = with(order(&stage), fields[field], value).to_string();
            let mut flipped = good.clone().into_bytes();
            let at = flip.index(flipped.len());
            flipped[at] ^= 1 << (at % 8);
            let truncated = good.as_bytes()[..cut.index(good.len())].to_vec();
            for body in [bytes.clone(), bent.into_bytes(), flipped, truncated] {
                for uri in ["/api/v1/orders", "/book", "/bookings", "/bookings/close"] {
                    let request = test::TestRequest::post()
                        .uri(uri)
                        .insert_header(("Idempotency-Key", "key-number-1"))
                        .insert_header(("Content-Type", "application/x-www-form-urlencoded"))
                        .set_payload(body.clone());
                    let (status, _, answer) = send!(app, request);
                    assert!(status.as_u16() < 500, "{uri} {status} {answer:?}");
                }
            }
            let query: String = path.bytes().map(|b| format!("%{b:02X}")).collect();
            for uri in [
                format!("/api/v1/stations?q={query}"), format!("/journeys?from_text={query}&date={query}"),
                format!("/seats?service={query}"), format!("/bookings/{query}"),
                format!("/language/en?back={query}"), format!("/api/v1/orders/{query}"),
            ] {
                let (status, _, _) = send!(app, test::TestRequest::get().uri(&uri));
                assert!(status.as_u16() < 500, "{uri} {status}");
            }
        });
    }
}
