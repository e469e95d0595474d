//! An HTTP server on the thread of its process, for pages that the product serves with threads of its own.

use std::rc::Rc;

use actix_http::HttpService;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response};
use actix_web::http::KeepAlive;
use tokio::net::TcpListener;

/// Serves an application until the process ends.
///
/// # Errors
/// When the application cannot be set up, or the listener breaks.
pub async fn serve<I, S, B>(listener: TcpListener, app: I) -> std::io::Result<()>
where
    I: IntoServiceFactory<S, actix_http::Request>,
    S: ServiceFactory<actix_http::Request, Config = AppConfig, Error = actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<actix_http::Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let factory = HttpService::build()
        .keep_alive(KeepAlive::Disabled)
        .finish(map_config(app, |()| AppConfig::default()))
        .tcp();
    let made = factory.new_service(()).await;
    let service = Rc::new(made.map_err(|()| std::io::Error::other("the pages cannot be set up"))?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = Rc::clone(&service);
        actix_rt::spawn(async move {
            // What a client does wrong is answered, or the connection ends.
            service.call(stream).await.ok();
        });
    }
}
