//! Style, script and icon, kept inside the program; nothing is fetched from elsewhere.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "assets"]
struct Files;

fn address(name: &str) -> String {
    let mark = Files::get(name).map_or_else(String::new, |file| mark(&file));
    format!("/assets/{name}?v={mark}")
}

fn mark(file: &rust_embed::EmbeddedFile) -> String {
    hex::encode(&file.metadata.sha256_hash()[..8])
}

/// Where the style is, with a mark of its content, so that it may be kept for long.
pub static STYLE: LazyLock<String> = LazyLock::new(|| address("site.css"));
/// Where the script is.
pub static SCRIPT: LazyLock<String> = LazyLock::new(|| address("site.js"));
/// Where the icon is.
pub static ICON: LazyLock<String> = LazyLock::new(|| address("icon.svg"));

/// One file.
pub async fn file(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let Some(file) = Files::get(&name) else { return HttpResponse::NotFound().finish() };
    let tag = format!("\"{}\"", mark(&file));
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    if known == Some(tag.as_str()) {
        return HttpResponse::NotModified().finish();
    }
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::ETAG, tag))
        .body(file.data.into_owned())
}
