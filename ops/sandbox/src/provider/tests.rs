//! The twin over its real HTTP interface.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::catalogue::Mode;
use super::{ProviderTwinConfig, RunningTwin, sample, start};
use crate::gtfs::time::{day_of, number_of};

struct Talk {
    twin: RunningTwin,
    client: Client,
    _dir: tempfile::TempDir,
}

impl Talk {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        Self::in_dir(dir, ProviderTwinConfig::default()).await
    }

    async fn in_dir(dir: tempfile::TempDir, config: ProviderTwinConfig) -> Self {
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("feed.zip"), sample::archive()).expect("feed");
        std::fs::write(path("layouts.toml"), sample::LAYOUT).expect("layouts");
        let config = ProviderTwinConfig {
            gtfs: Some(path("feed.zip")),
            layouts: Some(path("layouts.toml")),
            data_dir: Some(path("data")),
            heartbeat_ms: 200,
            ..config
        };
        let twin = start(config).await.expect("twin");
        let client = Client::builder().timeout(Duration::from_secs(5)).build().expect("client");
        Self { twin, client, _dir: dir }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.twin.addr);
        let mut request = self.client.request(method, url).header("Idempotency-Key", key);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("answer");
        let status = answer.status();
        (status, answer.json().await.expect("json"))
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, "-", Value::Null).await.1
    }

    /// A service of that mode tomorrow or later.
    fn service(&self, mode: Mode) -> String {
        let catalogue = &self.twin.twin.catalogue;
        let tomorrow = today() + 1;
        (tomorrow..tomorrow + 20)
            .flat_map(|day| (0..6).map(move |trip| super::catalogue::ServiceRef { trip, day }))
            .find(|s| catalogue.mode(*s) == mode)
            .map(|s| catalogue.key(s))
            .expect("both modes")
    }

    async fn snapshot(&self) -> Vec<Value> {
        let url = format!("http://{}/snapshot", self.twin.addr);
        let text = self.client.get(url).send().await.expect("sent").text().await.expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("line")).collect()
    }
}

fn today() -> i32 {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("zone");
    day_of(zone.to_datetime(jiff::Timestamp::now()).date())
}

#[actix_web::test]
async fn the_snapshot_is_whole_and_says_what_it_is() {
    let talk = Talk::new().await;
    let live = talk.service(Mode::Live);
    let body = json!({ "service": live, "from": 0, "to": 3, "serviceClass": 2 });
    let (status, _) = talk.call(Method::POST, "/bookings", "k", body).await;
    assert_eq!(status, StatusCode::CREATED);
    let lines = talk.snapshot().await;
    let (head, end) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!((&head["t"], &head["format"]), (&json!("head"), &json!(1)));
    assert_eq!(head["zone"], "Europe/Berlin");
    assert_eq!(head["sequence"], 1);
    assert_eq!((&end["t"], &end["lines"]), (&json!("end"), &json!(lines.len())));
    let of = |kind: &str| lines.iter().filter(|l| l["t"] == kind).collect::<Vec<_>>();
    assert_eq!((of("place").len(), of("layout").len()), (4, 1));
    assert_eq!((of("pattern").len(), of("trip").len()), (1, 6));
    let pattern = of("pattern")[0];
    assert_eq!((&pattern["board"], &pattern["alight"]), (&json!("1101"), &json!("1111")));
    assert_eq!(pattern["prices"]["2"].as_array().map(Vec::len), Some(6));
    assert_eq!(of("taken"), [&json!({ "t": "taken", "service": live, "runs": [[4, 0, 3]] })]);
    let days = of("trip")[0]["days"].as_array().expect("days").clone();
    let today = number_of(today());
    assert_eq!(days[0][0], json!(today));
    talk.twin.stop().await;
}

#[actix_web::test]
async fn a_booking_lives_over_http_and_over_a_restart() {
    let talk = Talk::new().await;
    let allotted = talk.service(Mode::Allotted);
    let body = json!({ "service": allotted, "from": 0, "to": 1, "serviceClass": 2, "unit": 5 });
    let (status, held) = talk.call(Method::POST, "/bookings", "o/0/1", body.clone()).await;
    assert_eq!((status, &held["booking"]["state"]), (StatusCode::CREATED, &json!("PREBOOKED")));
    let (status, again) = talk.call(Method::POST, "/bookings", "o/0/1", body.clone()).await;
    assert_eq!((status, &again), (StatusCode::OK, &held));
    let (status, problem) = talk.call(Method::POST, "/bookings", "o/0/2", body).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(problem["type"], "urn:guichet:provider:seat-taken");
    assert_eq!(problem["passing"], true);
    let id = held["booking"]["id"].as_str().expect("id").to_owned();
    let path = format!("/bookings/{id}/fulfillments");
    let (_, sold) = talk.call(Method::POST, &path, "-", Value::Null).await;
    assert_eq!(sold["booking"]["state"], "FULFILLED");
    assert_eq!(talk.get("/bookings?hold=o/0/1").await, sold);

    let Talk { twin, _dir: dir, .. } = talk;
    twin.stop().await;
    let talk = Talk::in_dir(dir, ProviderTwinConfig::default()).await;
    assert_eq!(talk.get(&format!("/bookings/{id}")).await, sold, "kept");
    let path = format!("/bookings/{id}/refund-offers");
    let (_, offer) = talk.call(Method::POST, &path, "-", Value::Null).await;
    let path = format!("{path}/{}", offer["refundOffer"]["id"].as_str().expect("id"));
    let patch = json!({ "status": "CONFIRMED" });
    let (_, refunded) = talk.call(Method::PATCH, &path, "-", patch).await;
    assert_eq!(refunded["booking"]["state"], "REFUNDED");
    let books = talk.get("/books").await;
    assert_eq!(books["bookings"].as_array().map(Vec::len), Some(1));
    assert_eq!(books["audit"], Value::Null);
    talk.twin.stop().await;
}

#[actix_web::test]
async fn the_stream_waits_beats_and_sends_strangers_away() {
    let talk = Talk::new().await;
    let epoch = talk.snapshot().await[0]["epoch"].as_str().expect("epoch").to_owned();
    let path = format!("/deltas?epoch={epoch}&after=0&wait_ms=10000");
    let begun = Instant::now();
    let beat = talk.get(&path).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "a heartbeat, not the whole wait");
    assert_eq!((&beat["sequence"], &beat["deltas"]), (&json!(0), &json!([])));
    let live = talk.service(Mode::Live);
    let body = json!({ "service": live, "from": 0, "to": 3, "serviceClass": 1 });
    talk.call(Method::POST, "/bookings", "mine", body).await;
    let deltas = talk.get(&path).await;
    let change = json!({ "service": live, "unit": 0, "taken": [[0, 3]], "owner": "mine" });
    assert_eq!(
        deltas["deltas"],
        json!([{ "first": 1, "last": 1, "prev": 0, "changes": [change] }])
    );
    for path in [format!("/deltas?epoch={epoch}&after=2"), "/deltas?epoch=x&after=0".to_owned()] {
        let (status, _) = talk.call(Method::GET, &path, "-", Value::Null).await;
        assert_eq!(status, StatusCode::GONE, "{path}");
    }
    talk.twin.stop().await;
}

#[actix_web::test]
async fn any_body_is_answered_with_a_problem() {
    let talk = Talk::new().await;
    let url = format!("http://{}/bookings", talk.twin.addr);
    let huge = vec![b' '; super::http::BODY_BYTES_MAX + 1];
    for (body, status) in [
        (Vec::new(), 400),
        (b"{".to_vec(), 400),
        (b"[]".to_vec(), 400),
        (b"\xff\xfe".to_vec(), 400),
        (br#"{"service":"t/1","from":-1,"to":1,"serviceClass":2}"#.to_vec(), 400),
        (br#"{"service":"t/1","from":0,"to":1,"serviceClass":2,"x":1}"#.to_vec(), 400),
        (br#"{"service":"t/1","from":0,"to":1,"serviceClass":2}"#.to_vec(), 404),
        (huge, 400),
    ] {
        let request = talk.client.post(&url).header("Idempotency-Key", "k").body(body.clone());
        let answer = request.send().await.expect("answer");
        assert_eq!(answer.status().as_u16(), status, "{}", String::from_utf8_lossy(&body));
        let problem: Value = answer.json().await.expect("problem");
        assert_eq!(problem["status"], status);
    }
    let (status, _) = talk.call(Method::GET, "/nowhere", "-", Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = talk.call(Method::POST, "/fault", "-", json!({ "kind": "earthquake" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    talk.twin.stop().await;
}

#[actix_web::test]
async fn other_customers_take_live_places_only() {
    let config = ProviderTwinConfig { demand_at_start: 50, ..ProviderTwinConfig::default() };
    let talk = Talk::in_dir(tempfile::tempdir().expect("dir"), config).await;
    assert_eq!(talk.get("/books").await["otherCustomers"], 50);
    talk.twin.twin.tick(40);
    let lines = talk.snapshot().await;
    let taken: Vec<&Value> = lines.iter().filter(|l| l["t"] == "taken").collect();
    assert!(!taken.is_empty());
    let catalogue = &talk.twin.twin.catalogue;
    for line in taken {
        let service = catalogue.find(line["service"].as_str().expect("key")).expect("service");
        assert_eq!(catalogue.mode(service), Mode::Live);
    }
    talk.twin.stop().await;
}

#[test]
fn the_repository_s_timetable_is_on_sale_today() {
    let config = ProviderTwinConfig::default();
    let begun = Instant::now();
    let twin = super::Twin::load(config).expect("twin");
    let took = begun.elapsed();
    let [head, body, ..] = twin.snapshot();
    let head: Value = serde_json::from_slice(&head).expect("head");
    assert!(head["shiftedWeeks"].as_u64() > Some(0), "the calendar has ended: {head}");
    assert_eq!(head["attribution"].as_str().map(|a| a.contains("DELFI e.V.")), Some(true));
    assert_eq!(
        twin.catalogue.places.iter().filter(|p| p.name.contains("Berlin Hauptbahnhof")).count(),
        1
    );
    println!("loaded in {took:?}, {} bytes of snapshot", body.len());
}
