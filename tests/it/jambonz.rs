//! jambonz' application websocket over a real socket: who is let in, what is echoed, how it ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::front_desk::PATIENCE;
use crate::support::house::House;

fn request(house: &House, credentials: Option<&str>) -> Request {
    let url = format!("{}/voice/jambonz/app", house.base.replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("an address");
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "ws.jambonz.org".parse().expect("text"));
    if let Some(credentials) = credentials {
        let basic = format!("Basic {}", BASE64.encode(credentials));
        headers.insert("authorization", basic.parse().expect("text"));
    }
    request
}

#[tokio::test]
async fn the_application_websocket_is_for_who_has_the_password() {
    let house = House::open(1).await;
    for (credentials, expected) in [(None, 401), (Some("desk:guess"), 403), (Some("other:secret"), 403)] {
        let refused = connect_async(request(&house, credentials)).await.expect_err("refused");
        let Error::Http(response) = refused else { panic!("{refused}") };
        assert_eq!(response.status().as_u16(), expected, "{credentials:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_call_is_acknowledged_and_told_to_come_again_when_the_server_stops() {
    let house = House::open(1).await;
    let (mut socket, response) = connect_async(request(&house, Some("desk:secret"))).await.expect("let in");
    assert_eq!(response.headers()["sec-websocket-protocol"], "ws.jambonz.org");
    assert!(response.headers().get("sec-websocket-extensions").is_none());
    let new = json!({"type": "session:new", "msgid": "m1", "call_sid": "c1", "b3": "0-0-1", "data": {
        "call_sid": "c1", "direction": "inbound", "from": "+15005550006", "to": "+15005550001", "call_status": "trying",
    }});
    // What is no message of theirs ends nothing.
    for text in ["{".to_owned(), json!({"type": "call:status", "msgid": "m0", "data": {}}).to_string(), new.to_string()]
    {
        socket.send(Message::text(text)).await.expect("sent");
    }
    let ack = timeout(PATIENCE, socket.next()).await.expect("in time").expect("an answer").expect("a message");
    let ack: Value = serde_json::from_str(ack.to_text().expect("text")).expect("JSON");
    assert_eq!((&ack["type"], &ack["msgid"]), (&json!("ack"), &json!("m1")));
    let listen = &ack["data"][1];
    assert_eq!((&listen["verb"], &listen["wsAuth"]["username"]), (&json!("listen"), &json!("desk")));
    assert!(listen["url"].as_str().is_some_and(|url| url.ends_with("/media/jambonz")));
    let goodbye = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                _ => break None,
            }
        }
    };
    let (code, ()) = tokio::join!(timeout(PATIENCE, goodbye), house.close());
    assert_eq!(code.expect("in time"), Some(1012), "anything but 1000 brings jambonz back");
}
