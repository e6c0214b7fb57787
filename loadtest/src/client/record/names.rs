//! What is measured and what is counted: the names of both.
//!
//! Owns the lists; a name is what stands in reports and thresholds. Must not measure.

macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }
        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];
            /// Its name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

named_enum! {
    /// A latency.
    Metric {
        /// From the first byte of TCP to the end of the upgrade.
        Connect => "connect",
        /// From the end of the upgrade to `welcome`.
        Welcome => "welcome",
        /// From the end of the upgrade to the first feed.
        FirstFeed => "first_feed",
        /// From the planned instant of a swipe to the feed that it caused.
        EventToFeed => "event_to_feed",
        /// The same from the instant of the write: what a tester that waits for the server would have measured.
        EventToFeedUncorrected => "event_to_feed_uncorrected",
        /// From the planned instant of a message of events to its ack.
        EventToAck => "event_to_ack",
        /// The same from the instant of the write.
        EventToAckUncorrected => "event_to_ack_uncorrected",
        /// From a request for more to its feed.
        RequestToFeed => "request_to_feed",
        /// Between two feeds on one socket.
        PushGap => "push_gap",
        /// From the loss of a socket to the first feed on the next one.
        Resume => "resume",
        /// From the order to exchange the ranking model to the server's word that it serves.
        ModelSwap => "model_swap",
        /// From the order to restart the server to the end of the command.
        Restart => "restart",
        /// From the beginning of a hit to the first feed that holds it.
        HitToFeed => "hit_to_feed",
        /// From the planned instant of a batch of the crowd's events to the answer.
        CrowdEvents => "crowd_events",
        /// From the planned instant of a REST call for a feed to its answer.
        RestFeed => "rest_feed",
        /// The same from the instant of the write.
        RestFeedUncorrected => "rest_feed_uncorrected",
        /// From the planned instant of a REST call with events to its answer.
        RestEvents => "rest_events",
        /// From the planned instant of a REST call to rank given items to its answer.
        RestRank => "rest_rank",
        /// From the planned instant of a REST call for similar, popular or new items to its answer.
        RestLists => "rest_lists",
        /// How late the tester itself was: from the planned instant (or from the end of what kept the viewer busy) to the
        /// write.
        TesterLag => "tester_lag",
    }
}

named_enum! {
    /// A count.
    Counter {
        /// Swipes of the plan.
        Planned => "planned",
        /// Swipes sent.
        Sent => "sent",
        /// Planned while the viewer was away between two sessions by its own will: neither sent nor dropped.
        Away => "away",
        /// Not sent: too many of the viewer's planned swipes were waiting already.
        DroppedBacklog => "dropped_backlog",
        /// Not sent: nothing to swipe on.
        DroppedNoItem => "dropped_no_item",
        /// Not sent: no socket.
        DroppedNoSocket => "dropped_no_socket",
        /// Not sent: waited for longer than the time-out.
        DroppedExpired => "dropped_expired",
        /// Not sent: the run was over.
        DroppedUnsent => "dropped_unsent",
        /// Not sent: the tester itself was too late to hand it over.
        DroppedTester => "dropped_tester",
        /// Single events sent.
        Events => "events",
        /// Feeds received.
        Feeds => "feeds",
        /// Swipes that were answered only together with a later one.
        Overtaken => "overtaken",
        /// Swipes whose feed was lost with its socket.
        Interrupted => "interrupted",
        /// Acks received.
        Acks => "acks",
        /// Events that the server had taken before.
        Duplicates => "duplicates",
        /// Events sent a second time on purpose.
        DuplicatesSent => "duplicates_sent",
        /// Items put on the screen.
        Shown => "shown",
        /// Items put on the screen of the same viewer twice.
        Repeats => "repeats",
        /// Items pushed that the server knew to have been shown.
        RepeatsPushed => "repeats_pushed",
        /// Items dropped because feed and `seen` had crossed.
        Crossed => "crossed",
        /// Likes.
        Likes => "likes",
        /// Skips.
        Skips => "skips",
        /// Sockets opened.
        Connects => "connects",
        /// Sockets opened to go on with a session.
        Reconnects => "reconnects",
        /// Sessions that the server says go on.
        Recovered => "recovered",
        /// Feeds that the server says are less than they could be.
        Degraded => "degraded",
        /// Bytes of messages sent.
        BytesOut => "bytes_out",
        /// Bytes of messages received.
        BytesIn => "bytes_in",
        /// Bytes of frames that held a feed.
        FeedBytes => "feed_bytes",
        /// Bytes of frames that held events.
        EventBytes => "event_bytes",
        /// Frames that held events.
        EventFrames => "event_frames",
        /// Attempts to connect that were refused after the server had said that it would be back.
        RefusedInRestart => "refused_in_restart",
        /// Restarts of the server.
        Restarts => "restarts",
        /// Exchanges of the ranking model.
        ModelSwaps => "model_swaps",
        /// Events of the crowd around a hit.
        CrowdEvents => "crowd_events",
        /// Feeds received before the hit.
        FeedsBeforeHit => "feeds_before_hit",
        /// Of these, how many held the item.
        HitBefore => "hit_in_feeds_before",
        /// Feeds received since the hit began.
        FeedsSinceHit => "feeds_since_hit",
        /// Of these, how many held the item.
        HitSince => "hit_in_feeds_since",
    }
}
