//! The C library's calls that a machine answers itself.
//!
//! *Safety*: each has the signature of its namesake (POSIX.1-2017, Linux man-pages) and gets what a caller of that may
//! pass. Off a machine's thread, and for what is not the machine's, the kernel is called as the C library would.
#![expect(unsafe_code, reason = "these stand in for functions of the C library")]

use std::ffi::{c_int, c_void};

use libc::{epoll_event, iovec, size_t, sockaddr, sockaddr_in, socklen_t, ssize_t, timespec};

use super::net::Address;
use super::{Machine, inside};

fn failed(errno: i32) -> c_int {
    // SAFETY: the thread's own error number.
    unsafe { *libc::__errno_location() = errno };
    -1
}

fn done(result: Result<(), i32>) -> c_int {
    result.map_or_else(failed, |()| 0)
}

fn counted(result: Result<usize, i32>) -> ssize_t {
    match result {
        Ok(count) => ssize_t::try_from(count).unwrap_or(ssize_t::MAX),
        Err(errno) => failed(errno) as ssize_t,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut timespec) -> c_int {
    let ns = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => inside(|m| m.wall_ns()),
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_BOOTTIME => inside(|m| m.local_ns() + 1_000_000_000),
        _ => None,
    };
    let Some(ns) = ns else {
        // SAFETY: as called.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int };
    };
    // SAFETY: the caller passes a place for the time.
    unsafe {
        (*time).tv_sec = (ns / 1_000_000_000) as libc::time_t;
        (*time).tv_nsec = (ns % 1_000_000_000) as libc::c_long;
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(bytes: *mut c_void, count: size_t, flags: libc::c_uint) -> ssize_t {
    if count > 0 && !bytes.is_null() {
        // SAFETY: the caller passes so many writable bytes.
        let place = unsafe { std::slice::from_raw_parts_mut(bytes.cast::<u8>(), count) };
        if inside(|m| m.fill(place)).is_some() {
            return ssize_t::try_from(count).unwrap_or(ssize_t::MAX);
        }
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_getrandom, bytes, count, flags) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let stream = domain == libc::AF_INET && kind & 0xf == libc::SOCK_STREAM;
    if stream && inside(|_| ()).is_some() {
        let fd = number();
        inside(|m| {
            let owner = m.running;
            m.net.opened(fd, owner);
        });
        return fd;
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_socket, domain, kind, protocol) as c_int }
}

/// A number for a file descriptor of ours that the kernel gives to nobody else.
fn number() -> c_int {
    // SAFETY: no pointers.
    unsafe { libc::syscall(libc::SYS_eventfd2, 0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) as c_int }
}

unsafe fn read_address(address: *const sockaddr) -> Option<Address> {
    // SAFETY: the caller of the call passes an address of the length that its family has.
    unsafe {
        if c_int::from((*address).sa_family) != libc::AF_INET {
            return None;
        }
        let inet = &*address.cast::<sockaddr_in>();
        Some((u32::from_be(inet.sin_addr.s_addr), u16::from_be(inet.sin_port)))
    }
}

unsafe fn write_address(place: *mut sockaddr, length: *mut socklen_t, address: Address) {
    if place.is_null() || length.is_null() {
        return;
    }
    let inet = sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.1.to_be(),
        sin_addr: libc::in_addr { s_addr: address.0.to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: the caller passes a place of `*length` bytes, and no more than that is written.
    unsafe {
        let room = (*length as usize).min(size_of::<sockaddr_in>());
        std::ptr::copy_nonoverlapping((&raw const inet).cast::<u8>(), place.cast::<u8>(), room);
        *length = size_of::<sockaddr_in>() as socklen_t;
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bind(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: as called.
    if let Some(address) = unsafe { read_address(address) }
        && let Some(result) = inside(|m| m.net.bind(fd, address)).flatten()
    {
        return done(result);
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_bind, fd, address, length) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn listen(fd: c_int, backlog: c_int) -> c_int {
    match inside(|m| m.net.listen(fd)).flatten() {
        Some(result) => done(result),
        // SAFETY: no pointers.
        None => unsafe { libc::syscall(libc::SYS_listen, fd, backlog) as c_int },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    if inside(|m| m.net.is_ours(fd)) != Some(true) {
        // SAFETY: as called.
        return unsafe { libc::syscall(libc::SYS_accept4, fd, address, length, flags) as c_int };
    }
    let new = number();
    match inside(|m| m.net.accept(fd, new)).flatten() {
        Some(Ok(from)) => {
            // SAFETY: as called.
            unsafe { write_address(address, length, from) };
            new
        }
        other => {
            // SAFETY: our own number, which nobody knows.
            unsafe { libc::syscall(libc::SYS_close, new) };
            failed(other.and_then(Result::err).unwrap_or(libc::EBADF))
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn connect(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    // SAFETY: as called.
    if let Some(to) = unsafe { read_address(address) } {
        let act = |m: &mut Machine| {
            let now = m.local_ns();
            m.net.connect(fd, to, now)
        };
        if let Some(result) = inside(act).flatten() {
            return done(result);
        }
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_connect, fd, address, length) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    let Some(error) = inside(|m| m.net.take_error(fd)).flatten() else {
        // SAFETY: as called.
        return unsafe {
            libc::syscall(libc::SYS_getsockopt, fd, level, name, value, length) as c_int
        };
    };
    let answer = if (level, name) == (libc::SOL_SOCKET, libc::SO_ERROR) { error } else { 0 };
    // SAFETY: options that are asked for here are whole numbers of an int's length.
    unsafe {
        if *length as usize >= size_of::<c_int>() {
            *value.cast::<c_int>() = answer;
            *length = size_of::<c_int>() as socklen_t;
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn setsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    if inside(|m| m.net.is_ours(fd)) == Some(true) {
        return 0;
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_setsockopt, fd, level, name, value, length) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getsockname(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    match inside(|m| m.net.name(fd, false)).flatten() {
        Some(result) => done(result.map(|name| {
            // SAFETY: as called.
            unsafe { write_address(address, length, name) };
        })),
        // SAFETY: as called.
        None => unsafe { libc::syscall(libc::SYS_getsockname, fd, address, length) as c_int },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getpeername(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    match inside(|m| m.net.name(fd, true)).flatten() {
        Some(result) => done(result.map(|name| {
            // SAFETY: as called.
            unsafe { write_address(address, length, name) };
        })),
        // SAFETY: as called.
        None => unsafe { libc::syscall(libc::SYS_getpeername, fd, address, length) as c_int },
    }
}

fn receive(fd: c_int, place: &mut [u8], peek: bool) -> Option<Result<usize, i32>> {
    inside(|m| {
        let Machine { net, dirty, .. } = m;
        net.receive(fd, place, peek, dirty)
    })
    .flatten()
}

fn send_bytes(fd: c_int, bytes: &[u8]) -> Option<Result<usize, i32>> {
    inside(|m| {
        let now = m.local_ns();
        m.net.send(fd, bytes, now)
    })
    .flatten()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn recv(fd: c_int, place: *mut c_void, count: size_t, flags: c_int) -> ssize_t {
    if count > 0 {
        // SAFETY: the caller passes so many writable bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(place.cast::<u8>(), count) };
        if let Some(result) = receive(fd, bytes, flags & libc::MSG_PEEK != 0) {
            return counted(result);
        }
    }
    let none = std::ptr::null::<c_void>();
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_recvfrom, fd, place, count, flags, none, none) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn send(fd: c_int, bytes: *const c_void, count: size_t, flags: c_int) -> ssize_t {
    if count > 0 {
        // SAFETY: the caller passes so many readable bytes.
        let slice = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count) };
        if let Some(result) = send_bytes(fd, slice) {
            return counted(result);
        }
    }
    let none = std::ptr::null::<c_void>();
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_sendto, fd, bytes, count, flags, none, 0) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn readv(fd: c_int, places: *const iovec, count: c_int) -> ssize_t {
    if inside(|m| m.net.is_ours(fd)) == Some(true) {
        // SAFETY: the caller passes so many places; the first that is not empty is filled, which a read may do.
        let first = unsafe { std::slice::from_raw_parts(places, count as usize) }
            .iter()
            .find(|place| place.iov_len > 0);
        let Some(place) = first else { return 0 };
        // SAFETY: as above.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(place.iov_base.cast::<u8>(), place.iov_len) };
        return receive(fd, bytes, false).map_or(-1, counted);
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_readv, fd, places, count) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, places: *const iovec, count: c_int) -> ssize_t {
    if inside(|m| m.net.is_ours(fd)) == Some(true) {
        // SAFETY: the caller passes so many places, each with so many readable bytes.
        let all: Vec<u8> = unsafe { std::slice::from_raw_parts(places, count as usize) }
            .iter()
            .filter(|place| place.iov_len > 0)
            .flat_map(|place| unsafe {
                std::slice::from_raw_parts(place.iov_base.cast::<u8>(), place.iov_len)
            })
            .copied()
            .collect();
        return send_bytes(fd, &all).map_or(-1, counted);
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_writev, fd, places, count) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn shutdown(fd: c_int, how: c_int) -> c_int {
    let act = |m: &mut Machine| {
        let now = m.local_ns();
        m.net.shut(fd, how, now)
    };
    match inside(act).flatten() {
        Some(result) => done(result),
        // SAFETY: no pointers.
        None => unsafe { libc::syscall(libc::SYS_shutdown, fd, how) as c_int },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    inside(|m| {
        let now = m.local_ns();
        m.net.close(fd, now);
    });
    // SAFETY: no pointers; the number is the kernel's as well.
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_create1(flags: c_int) -> c_int {
    // SAFETY: no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_epoll_create1, flags) as c_int };
    if fd >= 0 {
        inside(|m| m.net.epoll(fd));
    }
    fd
}

/// Takes its last argument as a number, which is how every target here passes it.
#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl(fd: c_int, what: c_int, with: usize) -> c_int {
    // SAFETY: as called.
    let result = unsafe { libc::syscall(libc::SYS_fcntl, fd, what, with) as c_int };
    if matches!(what, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) && result >= 0 {
        inside(|m| m.net.copied(fd, result));
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_ctl(
    epoll: c_int,
    what: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    let wanted = if what == libc::EPOLL_CTL_DEL {
        None
    } else {
        // SAFETY: the caller passes an event with every other operation.
        Some(unsafe { ((*event).events, (*event).u64) })
    };
    match inside(|m| m.net.watch(epoll, fd, wanted)).flatten() {
        Some(result) => done(result),
        // SAFETY: as called.
        None => unsafe { libc::syscall(libc::SYS_epoll_ctl, epoll, what, fd, event) as c_int },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout_ms: c_int,
) -> c_int {
    let room = usize::try_from(max).unwrap_or(0);
    let Some(found) = inside(|m| m.net.happened(epoll, room)).flatten() else {
        // SAFETY: as called.
        return unsafe {
            libc::syscall(libc::SYS_epoll_pwait, epoll, events, max, timeout_ms, 0, 8) as c_int
        };
    };
    for (n, (state, data)) in found.iter().enumerate() {
        // SAFETY: the caller passes room for `max` events, and there are no more.
        unsafe { events.add(n).write(epoll_event { events: *state, u64: *data }) };
    }
    if found.is_empty() && timeout_ms != 0 {
        let waker = inside(|m| m.found_idle(timeout_ms)).flatten();
        // Outside: waking may make calls of its own.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
    c_int::try_from(found.len()).unwrap_or(max)
}

/// What a killed process still writes to files reaches nobody, as if it had never run on.
fn is_lost(fd: c_int) -> bool {
    inside(|m| m.is_dead()) == Some(true) && is_file(fd)
}

/// Whether it is a file on a disk: a runtime's own wake-ups are none.
fn is_file(fd: c_int) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel fills the place if it knows the number; all zeros is a valid value, too.
    let kind = unsafe {
        libc::syscall(libc::SYS_fstat, fd, found.as_mut_ptr());
        found.assume_init().st_mode
    };
    kind & libc::S_IFMT == libc::S_IFREG
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    if is_lost(fd) {
        return failed(libc::EIO) as ssize_t;
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_write, fd, bytes, count) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(
    fd: c_int,
    bytes: *const c_void,
    count: size_t,
    offset: libc::off64_t,
) -> ssize_t {
    if is_lost(fd) {
        return failed(libc::EIO) as ssize_t;
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_pwrite64, fd, bytes, count, offset) as ssize_t }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: libc::off64_t) -> c_int {
    if is_lost(fd) {
        return failed(libc::EIO);
    }
    // SAFETY: no pointers.
    unsafe { libc::syscall(libc::SYS_ftruncate, fd, length) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const libc::c_char, to: *const libc::c_char) -> c_int {
    if inside(|m| m.is_dead()) == Some(true) {
        return failed(libc::EIO);
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_rename, from, to) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const libc::c_char) -> c_int {
    if inside(|m| m.is_dead()) == Some(true) {
        return failed(libc::EIO);
    }
    // SAFETY: as called.
    unsafe { libc::syscall(libc::SYS_unlink, path) as c_int }
}
