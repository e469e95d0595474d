//! The site: pages made here, for people who search, book, see and cancel.

mod book;
mod fields;
mod give_back;
mod mine;
mod page;
mod search;
mod seats;
pub mod session;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::BODY_BYTES_MAX;
use crate::language::{COOKIE, Language};
use crate::server::App;

pub use page::PROBLEMS;

/// Fields of a form, or why they could not be read.
type Form = Result<web::Form<Vec<(String, String)>>, actix_web::Error>;

fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, address)).finish()
}

/// Keeps the chosen language, and goes back to where the person was.
async fn language(request: HttpRequest, code: web::Path<String>) -> HttpResponse {
    let query = fields::Fields::query(request.query_string());
    let back = query.get("back");
    let mut response = see_other(if is_local(back) { back } else { "/" });
    if let Some(language) = Language::parse(&code) {
        let cookie = actix_web::cookie::Cookie::build(COOKIE, language.code())
            .path("/")
            .same_site(actix_web::cookie::SameSite::Lax)
            .http_only(true)
            .max_age(actix_web::cookie::time::Duration::days(365))
            .finish();
        let _ = response.add_cookie(&cookie);
    }
    response
}

/// Whether an address stays on this site.
fn is_local(address: &str) -> bool {
    address.starts_with('/')
        && !address.starts_with("//")
        && address.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

async fn unknown(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    page::problem(&app, &request, StatusCode::NOT_FOUND, "not_found")
}

/// Mounts the site; it answers every address that nothing else does.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .app_data(web::FormConfig::default().limit(BODY_BYTES_MAX))
        .route("/", web::get().to(search::home))
        .route("/journeys", web::get().to(search::results))
        .route("/seats", web::get().to(seats::map))
        .service(
            web::resource("/book")
                .route(web::get().to(book::form))
                .route(web::post().to(book::place)),
        )
        .service(
            web::resource("/bookings")
                .route(web::get().to(mine::form))
                .route(web::post().to(mine::open)),
        )
        .route("/bookings/close", web::post().to(mine::close))
        .route("/bookings/{reference}", web::get().to(mine::show))
        .service(
            web::resource("/bookings/{reference}/cancel")
                .route(web::get().to(mine::ask_cancel))
                .route(web::post().to(mine::cancel)),
        )
        .service(
            web::resource("/bookings/{reference}/lines/{line}/refund")
                .route(web::get().to(give_back::ask))
                .route(web::post().to(give_back::give_back)),
        )
        .route("/language/{code}", web::get().to(language))
        .route("/assets/{name}", web::get().to(crate::assets::file))
        .default_service(web::to(unknown));
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn one_comes_back_to_this_site_only() {
        for good in ["/", "/book?a=1&b=2", "/bookings/ABC"] {
            assert!(is_local(good), "{good}");
        }
        for bad in ["", "//evil.example", "/\\evil.example", "http://x", "/a\nb", "/ä"] {
            assert!(!is_local(bad), "{bad}");
        }
    }
}
