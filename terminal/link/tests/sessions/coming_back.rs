//! The terminal's end keeps coming back.

use super::*;

#[tokio::test]
async fn the_client_comes_back_by_itself_and_stops_when_told() {
    let keys = Arc::new(keys());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config();
    config.address = listener.local_addr().unwrap().to_string();
    config.backoff_min = Duration::from_millis(1);
    let mut terminal = End::new();
    let (stop, stopped) = watch::channel(None);
    let client = tokio::spawn({
        let (keys, postbox, events) =
            (Arc::clone(&keys), terminal.postbox.clone(), terminal.sender.clone());
        async move {
            let center = keys.center.public();
            client::run(&config, &keys.terminal, &center, &postbox, &events, stopped).await;
        }
    });
    let mut center = End::new();
    for round in 0..3 {
        terminal.postbox.post(&format!("fact {round}"), None).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let greeted = server::greet(stream, Versions::default()).await.unwrap();
        let wire = greeted.connect(&keys.center, Some(&keys.terminal.public())).await.unwrap();
        let running = center.start(wire);
        center.up().await;
        terminal.up().await;
        assert_eq!(center.take().await, format!("fact {round}"));
        if round == 2 {
            stop.send_replace(Some(ByeReason::Stopping));
            assert!(matches!(running.end().await, SessionEnd::Bye(ByeReason::Stopping)));
            break;
        }
        timeout(PATIENCE, terminal.postbox.drained_to(0)).await.unwrap();
        running.stop.send_replace(Some(ByeReason::Replaced));
        running.end().await;
        match terminal.event().await {
            LinkEvent::Down { why, .. } => assert!(why.contains("Replaced"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    timeout(PATIENCE, client).await.unwrap().unwrap();
}

/// Waits grow while the center is away, and begin anew after a session that lasted: a center that was restarted has
/// its terminals back at once, whatever went before.
#[tokio::test]
async fn the_wait_begins_anew_after_a_session_that_lasted() {
    for (steady_after, begins_anew) in [(Duration::ZERO, true), (PATIENCE, false)] {
        let keys = Arc::new(keys());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = config();
        config.address = listener.local_addr().unwrap().to_string();
        config.backoff_min = Duration::from_millis(2);
        config.steady_after = steady_after;
        let mut terminal = End::new();
        let (stop, stopped) = watch::channel(None);
        let client = tokio::spawn({
            let (keys, postbox, events) =
                (Arc::clone(&keys), terminal.postbox.clone(), terminal.sender.clone());
            async move {
                let center = keys.center.public();
                client::run(&config, &keys.terminal, &center, &postbox, &events, stopped).await;
            }
        });
        let mut waits = Vec::new();
        for _ in 0..5 {
            drop(listener.accept().await.unwrap());
            match terminal.event().await {
                LinkEvent::Down { retry_in, .. } => waits.push(retry_in),
                other => panic!("{other:?}"),
            }
        }
        // The fifth wait is between 16 and 32 ms, the first at most 2 ms.
        assert!(waits[4] >= 8 * waits[0], "{waits:?}");
        let mut center = End::new();
        let (stream, _) = listener.accept().await.unwrap();
        let greeted = server::greet(stream, Versions::default()).await.unwrap();
        let wire = greeted.connect(&keys.center, Some(&keys.terminal.public())).await.unwrap();
        let running = center.start(wire);
        center.up().await;
        terminal.up().await;
        running.stop.send_replace(Some(ByeReason::Stopping));
        running.end().await;
        match terminal.event().await {
            LinkEvent::Down { retry_in, .. } => {
                assert_eq!(retry_in <= Duration::from_millis(2), begins_anew, "{retry_in:?}");
            }
            other => panic!("{other:?}"),
        }
        stop.send_replace(Some(ByeReason::Stopping));
        timeout(PATIENCE, client).await.unwrap().unwrap();
    }
}
