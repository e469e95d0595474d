//! TCP of the simulated machine: connections whose bytes arrive later, in order, or never.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Pid, Random};

/// An IPv4 address and port, both as numbers.
pub type Address = (u32, u16);

/// Two processes, the lower first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair(Pid, Pid);

impl Pair {
    /// In either order.
    #[must_use]
    pub fn new(a: Pid, b: Pid) -> Self {
        Self(a.min(b), a.max(b))
    }
}

/// Bytes that one direction of a connection holds, on their way and unread, before a writer has to wait.
const WINDOW: usize = 256 * 1024;
/// Connections that wait to be accepted; more are refused.
const BACKLOG_MAX: usize = 128;
/// First port given out to those who ask for any.
const FIRST_PORT: u16 = 20_000;

/// How long bytes take between two processes, and what is wrong with that.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Shortest time of a segment, in nanoseconds.
    pub least_ns: u64,
    /// Longest.
    pub most_ns: u64,
    /// Nothing arrives before this time; what is sent meanwhile arrives after it, as sent again by TCP.
    pub held_until_ns: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self { least_ns: 200_000, most_ns: 3_000_000, held_until_ns: 0 }
    }
}

#[derive(Debug)]
enum Segment {
    /// Somebody wants to connect.
    Open {
        from: u64,
        to: Address,
    },
    /// They may.
    Opened {
        peer: u64,
    },
    /// They may not, or the connection is gone.
    Reset,
    Data(Vec<u8>),
    End,
}

#[derive(Debug)]
enum Kind {
    Fresh,
    Listening { waiting: VecDeque<u64> },
    Connecting,
    Open,
}

#[derive(Debug)]
struct Socket {
    owner: Pid,
    kind: Kind,
    local: Address,
    remote: Address,
    peer: Option<u64>,
    inbox: VecDeque<u8>,
    /// Bytes sent that the peer has not read.
    unread: usize,
    ended: bool,
    /// We said that no more comes.
    closed: bool,
    error: Option<i32>,
    /// When our last segment arrives: the next one does not overtake it.
    arrives_ns: u64,
    watch: Option<Watch>,
}

#[derive(Clone, Copy, Debug)]
struct Watch {
    epoll: i32,
    mask: u32,
    data: u64,
}

/// Counts for the coverage table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Connections made.
    pub opened: u64,
    /// Connections refused.
    pub refused: u64,
    /// Connections cut.
    pub reset: u64,
    /// Segments of data.
    pub segments: u64,
    /// Segments that a broken link held.
    pub held: u64,
}

/// The network.
#[derive(Debug)]
pub struct Net {
    random: Random,
    sockets: BTreeMap<u64, Socket>,
    by_fd: BTreeMap<i32, u64>,
    listeners: BTreeMap<Address, u64>,
    epolls: BTreeMap<i32, BTreeSet<u64>>,
    /// Other numbers of an epoll.
    epoll_copies: BTreeMap<i32, i32>,
    on_way: BTreeMap<(u64, u64), (u64, Segment)>,
    next_id: u64,
    next_segment: u64,
    next_port: u16,
    links: BTreeMap<Pair, Link>,
    /// What happened.
    pub counts: Counts,
}

/// What a call of the C library fails with.
pub(super) type Errno = i32;

impl Net {
    pub(super) fn new(random: Random) -> Self {
        Self {
            random,
            sockets: BTreeMap::new(),
            by_fd: BTreeMap::new(),
            listeners: BTreeMap::new(),
            epolls: BTreeMap::new(),
            epoll_copies: BTreeMap::new(),
            on_way: BTreeMap::new(),
            next_id: 1,
            next_segment: 0,
            next_port: FIRST_PORT,
            links: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// The link between two processes, to be changed.
    pub fn link(&mut self, between: Pair) -> &mut Link {
        self.links.entry(between).or_default()
    }

    /// Cuts every connection between two processes: both ends notice at once.
    pub fn cut(&mut self, between: Pair, dirty: &mut BTreeSet<Pid>) {
        let cut: Vec<u64> = self
            .sockets
            .iter()
            .filter(|(_, socket)| {
                let peer = socket.peer.and_then(|peer| self.sockets.get(&peer));
                peer.is_some_and(|peer| Pair::new(peer.owner, socket.owner) == between)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in cut {
            self.reset(id, dirty);
        }
    }

    pub(super) fn next_ns(&self) -> Option<u64> {
        self.on_way.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn arrive(&mut self, now_ns: u64, dirty: &mut BTreeSet<Pid>) {
        while let Some(entry) = self.on_way.first_entry() {
            let (at, _) = *entry.key();
            if at > now_ns {
                return;
            }
            let (to, segment) = entry.remove();
            self.take(to, segment, at, dirty);
        }
    }

    fn take(&mut self, to: u64, segment: Segment, at_ns: u64, dirty: &mut BTreeSet<Pid>) {
        match segment {
            Segment::Open { from, to } => self.opening(from, to, at_ns, dirty),
            Segment::Opened { peer } => {
                let Some(socket) = self.sockets.get_mut(&to) else {
                    return self.send_reset(peer, at_ns);
                };
                socket.kind = Kind::Open;
                socket.peer = Some(peer);
                self.touch(to, dirty);
            }
            Segment::Reset => self.reset(to, dirty),
            Segment::Data(bytes) => {
                let Some(socket) = self.sockets.get_mut(&to) else { return };
                self.counts.segments += 1;
                socket.inbox.extend(bytes);
                self.touch(to, dirty);
            }
            Segment::End => {
                let Some(socket) = self.sockets.get_mut(&to) else { return };
                socket.ended = true;
                self.touch(to, dirty);
            }
        }
    }

    fn opening(&mut self, from: u64, to: Address, at_ns: u64, dirty: &mut BTreeSet<Pid>) {
        let Some(caller) = self.sockets.get(&from) else { return };
        let (local, caller_owner) = (caller.local, caller.owner);
        let listener = self.listeners.get(&to).copied();
        let room = listener.and_then(|id| self.sockets.get(&id)).is_some_and(
            |s| matches!(&s.kind, Kind::Listening { waiting } if waiting.len() < BACKLOG_MAX),
        );
        let Some(listener) = listener.filter(|_| room) else {
            self.counts.refused += 1;
            return self.send_reset(from, at_ns);
        };
        let owner = self.sockets[&listener].owner;
        let id = self.socket(owner);
        let socket = self.sockets.get_mut(&id).expect("just made");
        (socket.kind, socket.local, socket.remote, socket.peer) =
            (Kind::Open, to, local, Some(from));
        if let Some(Kind::Listening { waiting }) =
            self.sockets.get_mut(&listener).map(|listener| &mut listener.kind)
        {
            waiting.push_back(id);
        }
        self.counts.opened += 1;
        self.touch(listener, dirty);
        self.post(Pair::new(owner, caller_owner), from, Segment::Opened { peer: id }, at_ns, None);
    }

    fn reset(&mut self, id: u64, dirty: &mut BTreeSet<Pid>) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.error = Some(match socket.kind {
            Kind::Connecting => libc::ECONNREFUSED,
            _ => libc::ECONNRESET,
        });
        socket.inbox.clear();
        socket.peer = None;
        self.counts.reset += 1;
        self.touch(id, dirty);
    }

    /// Something may have changed for whoever watches the socket.
    fn touch(&mut self, id: u64, dirty: &mut BTreeSet<Pid>) {
        let Some(socket) = self.sockets.get(&id) else { return };
        if let Some(watch) = socket.watch {
            self.epolls.entry(watch.epoll).or_default().insert(id);
            dirty.insert(socket.owner);
        }
    }

    fn post(
        &mut self,
        between: Pair,
        to: u64,
        segment: Segment,
        now_ns: u64,
        not_before: Option<u64>,
    ) -> u64 {
        let link = self.links.get(&between).copied().unwrap_or_default();
        let mut at = now_ns + self.random.within(link.least_ns, link.most_ns.max(link.least_ns));
        if link.held_until_ns > at {
            self.counts.held += 1;
            at = link.held_until_ns + self.random.within(link.least_ns, link.most_ns);
        }
        at = at.max(not_before.unwrap_or(0));
        self.next_segment += 1;
        self.on_way.insert((at, self.next_segment), (to, segment));
        at
    }

    fn send_reset(&mut self, to: u64, now_ns: u64) {
        let owner = self.sockets.get(&to).map_or(0, |socket| socket.owner);
        self.post(Pair::new(owner, owner), to, Segment::Reset, now_ns, None);
    }

    /// Sends from a socket to its peer, behind what it sent before.
    fn say(&mut self, id: u64, segment: Segment, now_ns: u64) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let (Some(peer), owner, before) = (socket.peer, socket.owner, socket.arrives_ns) else {
            return;
        };
        let Some(to) = self.sockets.get(&peer) else {
            // Nobody is there any more: the answer is a reset.
            return self.send_reset(id, now_ns);
        };
        let at = self.post(Pair::new(owner, to.owner), peer, segment, now_ns, Some(before));
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.arrives_ns = at;
        }
    }

    pub(super) fn kill(&mut self, pid: Pid, now_ns: u64, silent: bool) {
        let ids: Vec<u64> =
            self.sockets.iter().filter(|(_, s)| s.owner == pid).map(|(id, _)| *id).collect();
        for id in ids {
            self.remove(id, now_ns, silent);
        }
        self.by_fd.retain(|_, id| self.sockets.contains_key(id));
    }

    fn remove(&mut self, id: u64, now_ns: u64, silent: bool) {
        let unread = self.sockets.get(&id).is_some_and(|socket| !socket.inbox.is_empty());
        if !silent {
            self.say(id, if unread { Segment::Reset } else { Segment::End }, now_ns);
        }
        let Some(socket) = self.sockets.remove(&id) else { return };
        if let Kind::Listening { waiting } = socket.kind {
            self.listeners.remove(&socket.local);
            for id in waiting {
                self.remove(id, now_ns, silent);
            }
        }
        if let Some(watch) = socket.watch
            && let Some(pending) = self.epolls.get_mut(&watch.epoll)
        {
            pending.remove(&id);
        }
    }

    fn socket(&mut self, owner: Pid) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.sockets.insert(
            id,
            Socket {
                owner,
                kind: Kind::Fresh,
                local: (0, 0),
                remote: (0, 0),
                peer: None,
                inbox: VecDeque::new(),
                unread: 0,
                ended: false,
                closed: false,
                error: None,
                arrives_ns: 0,
                watch: None,
            },
        );
        id
    }

    fn port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }
}

/// The calls, for the sockets and epolls that are ours; `None` for any other file descriptor.
impl Net {
    pub(super) fn is_ours(&self, fd: i32) -> bool {
        self.by_fd.contains_key(&fd)
    }

    pub(super) fn opened(&mut self, fd: i32, owner: Pid) {
        let id = self.socket(owner);
        self.by_fd.insert(fd, id);
    }

    pub(super) fn bind(&mut self, fd: i32, address: Address) -> Option<Result<(), Errno>> {
        let id = *self.by_fd.get(&fd)?;
        let address = if address.1 == 0 { (address.0, self.port()) } else { address };
        if self.listeners.contains_key(&address) {
            return Some(Err(libc::EADDRINUSE));
        }
        self.sockets.get_mut(&id)?.local = address;
        Some(Ok(()))
    }

    pub(super) fn listen(&mut self, fd: i32) -> Option<Result<(), Errno>> {
        let id = *self.by_fd.get(&fd)?;
        let socket = self.sockets.get_mut(&id)?;
        socket.kind = Kind::Listening { waiting: VecDeque::new() };
        let local = socket.local;
        if self.listeners.insert(local, id).is_some() {
            return Some(Err(libc::EADDRINUSE));
        }
        Some(Ok(()))
    }

    /// The next connection, which gets `new_fd`, and its address.
    pub(super) fn accept(&mut self, fd: i32, new_fd: i32) -> Option<Result<Address, Errno>> {
        let id = *self.by_fd.get(&fd)?;
        let Kind::Listening { waiting } = &mut self.sockets.get_mut(&id)?.kind else {
            return Some(Err(libc::EINVAL));
        };
        let Some(next) = waiting.pop_front() else { return Some(Err(libc::EAGAIN)) };
        self.by_fd.insert(new_fd, next);
        Some(Ok(self.sockets.get(&next)?.remote))
    }

    pub(super) fn connect(
        &mut self,
        fd: i32,
        to: Address,
        now_ns: u64,
    ) -> Option<Result<(), Errno>> {
        let id = *self.by_fd.get(&fd)?;
        let port = self.port();
        let owner_of = |net: &Self| {
            let listener = net.listeners.get(&to)?;
            Some(net.sockets.get(listener)?.owner)
        };
        let remote_owner = owner_of(self);
        let socket = self.sockets.get_mut(&id)?;
        socket.kind = Kind::Connecting;
        socket.local = (u32::from_be_bytes([127, 0, 0, 1]), port);
        socket.remote = to;
        let owner = socket.owner;
        let between = Pair::new(owner, remote_owner.unwrap_or(owner));
        self.post(between, 0, Segment::Open { from: id, to }, now_ns, None);
        Some(Err(libc::EINPROGRESS))
    }

    pub(super) fn take_error(&mut self, fd: i32) -> Option<i32> {
        let id = *self.by_fd.get(&fd)?;
        Some(self.sockets.get_mut(&id)?.error.unwrap_or(0))
    }

    pub(super) fn name(&self, fd: i32, of_peer: bool) -> Option<Result<Address, Errno>> {
        let socket = self.sockets.get(self.by_fd.get(&fd)?)?;
        Some(match (of_peer, &socket.kind) {
            (false, _) => Ok(socket.local),
            (true, Kind::Open) => Ok(socket.remote),
            (true, _) => Err(libc::ENOTCONN),
        })
    }

    pub(super) fn receive(
        &mut self,
        fd: i32,
        buffer: &mut [u8],
        peek: bool,
        dirty: &mut BTreeSet<Pid>,
    ) -> Option<Result<usize, Errno>> {
        let id = *self.by_fd.get(&fd)?;
        let socket = self.sockets.get_mut(&id)?;
        if let Some(error) = socket.error {
            return Some(Err(error));
        }
        if !matches!(socket.kind, Kind::Open) {
            return Some(Err(libc::ENOTCONN));
        }
        let count = buffer.len().min(socket.inbox.len());
        if count == 0 {
            return Some(if socket.ended || buffer.is_empty() { Ok(0) } else { Err(libc::EAGAIN) });
        }
        for (place, byte) in buffer.iter_mut().zip(&socket.inbox) {
            *place = *byte;
        }
        if peek {
            return Some(Ok(count));
        }
        socket.inbox.drain(..count);
        if let Some(peer) = socket.peer
            && let Some(writer) = self.sockets.get_mut(&peer)
        {
            let was_full = writer.unread >= WINDOW;
            writer.unread = writer.unread.saturating_sub(count);
            if was_full {
                self.touch(peer, dirty);
            }
        }
        Some(Ok(count))
    }

    pub(super) fn send(
        &mut self,
        fd: i32,
        bytes: &[u8],
        now_ns: u64,
    ) -> Option<Result<usize, Errno>> {
        let id = *self.by_fd.get(&fd)?;
        let socket = self.sockets.get_mut(&id)?;
        if let Some(error) = socket.error {
            return Some(Err(error));
        }
        if !matches!(socket.kind, Kind::Open) || socket.closed {
            return Some(Err(libc::EPIPE));
        }
        let room = WINDOW.saturating_sub(socket.unread).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            return Some(Err(libc::EAGAIN));
        }
        socket.unread += room;
        self.say(id, Segment::Data(bytes[..room].to_vec()), now_ns);
        Some(Ok(room))
    }

    pub(super) fn shut(&mut self, fd: i32, how: i32, now_ns: u64) -> Option<Result<(), Errno>> {
        let id = *self.by_fd.get(&fd)?;
        if how != libc::SHUT_RD {
            let socket = self.sockets.get_mut(&id)?;
            if !std::mem::replace(&mut socket.closed, true) {
                self.say(id, Segment::End, now_ns);
            }
        }
        Some(Ok(()))
    }

    pub(super) fn close(&mut self, fd: i32, now_ns: u64) {
        self.epolls.remove(&fd);
        self.epoll_copies.remove(&fd);
        if let Some(id) = self.by_fd.remove(&fd) {
            self.remove(id, now_ns, false);
        }
    }

    pub(super) fn epoll(&mut self, fd: i32) {
        self.epolls.insert(fd, BTreeSet::new());
    }

    /// A file descriptor got another number.
    pub(super) fn copied(&mut self, fd: i32, copy: i32) {
        let original = self.epoll_copies.get(&fd).copied().unwrap_or(fd);
        if self.epolls.contains_key(&original) {
            self.epoll_copies.insert(copy, original);
        }
    }

    pub(super) fn watch(
        &mut self,
        epoll: i32,
        fd: i32,
        event: Option<(u32, u64)>,
    ) -> Option<Result<(), Errno>> {
        let id = *self.by_fd.get(&fd)?;
        let epoll = self.epoll_copies.get(&epoll).copied().unwrap_or(epoll);
        let pending = self.epolls.get_mut(&epoll)?;
        let socket = self.sockets.get_mut(&id)?;
        socket.watch = event.map(|(mask, data)| Watch { epoll, mask, data });
        match event {
            Some(_) => pending.insert(id),
            None => pending.remove(&id),
        };
        Some(Ok(()))
    }

    /// What has happened since the last look; `None` if the epoll is none of ours.
    pub(super) fn happened(&mut self, epoll: i32, max: usize) -> Option<Vec<(u32, u64)>> {
        let pending = std::mem::take(self.epolls.get_mut(&epoll)?);
        let mut found = Vec::new();
        for id in pending {
            if found.len() == max {
                self.epolls.get_mut(&epoll)?.insert(id);
                continue;
            }
            let Some(socket) = self.sockets.get(&id) else { continue };
            let Some(watch) = socket.watch else { continue };
            let state = socket.state() & (watch.mask | (libc::EPOLLERR | libc::EPOLLHUP) as u32);
            if state != 0 {
                found.push((state, watch.data));
            }
        }
        Some(found)
    }
}

impl Socket {
    /// In the words of epoll.
    fn state(&self) -> u32 {
        let mut state = 0;
        if self.error.is_some() {
            state |= libc::EPOLLERR | libc::EPOLLHUP | libc::EPOLLIN | libc::EPOLLOUT;
        }
        match &self.kind {
            Kind::Fresh | Kind::Connecting => {}
            Kind::Listening { waiting } => {
                if !waiting.is_empty() {
                    state |= libc::EPOLLIN;
                }
            }
            Kind::Open => {
                if !self.inbox.is_empty() {
                    state |= libc::EPOLLIN;
                }
                if self.ended {
                    state |= libc::EPOLLIN | libc::EPOLLRDHUP;
                }
                if self.unread < WINDOW {
                    state |= libc::EPOLLOUT;
                }
            }
        }
        state as u32
    }
}
