//! Taken addresses, named with the way out.

use std::net::SocketAddr;

/// Adds what to do to an error of listening.
pub fn taken(error: anyhow::Error, address: SocketAddr, setting: &str) -> anyhow::Error {
    let in_use = error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::AddrInUse)
    });
    if in_use {
        let variable = format!("GUICHET_{}", setting.to_uppercase().replace('.', "__"));
        error.context(format!(
            "port {} of {} is taken by another program: stop that one, set {setting} in the configuration (or {variable}) to another, or use --free-ports",
            address.port(),
            address.ip()
        ))
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_way_out() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = holder.local_addr().expect("bound");
        let error = std::net::TcpListener::bind(address).expect_err("taken");
        let text = format!("{:#}", taken(error.into(), address, "web.listen"));
        assert!(
            text.contains(&address.port().to_string()) && text.contains("GUICHET_WEB__LISTEN"),
            "{text}"
        );
    }
}
