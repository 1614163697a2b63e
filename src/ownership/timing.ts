/*
 * All times of elastic ownership, in milliseconds, with their reasons. They depend on each other: the others ask at the
 * moment when a lease may have ended, so an app whose owner died is taken over after leaseMs, expiryMarginMs and one
 * response, 7 s at most. A member that leaves is gone (leaveDeadlineMs twice, a switch, and lateReleaseMs) well before
 * the platform kills it.
 */

/**
 * How long a lease lasts in the database. A shorter one finds dead members sooner, a longer one outlasts pauses of
 * members and failovers of the database. In this time three renewals begin: two may hang until their deadline, or a
 * process may stand still for four seconds, without the lease being lost.
 */
export const leaseMs = 6_500;

/**
 * How long after a lease may have ended the others look whether it has. Covers what two responses leave open of the
 * distance between a member's clock and the database's.
 */
export const expiryMarginMs = 50;

/** The least pause between two attempts, also where leases end one after the other. */
export const leastPauseMs = 100;

/**
 * How long a member itself counts on its lease, from the *start* of the last successful renewal. Its clock may run 1 %
 * slow and the database's 1 % fast, which makes 6.5 s there 6.37 s here. Ending too early costs one rejoin, ending
 * too late would let a member act on a lease that is over.
 */
export const localLeaseMs = 6_370;

/** From start to start. Up to a tenth is taken off at random, so that members do not renew in step for ever. */
export const renewEveryMs = 2_000;

/** Later responses do not count: the view and the lease in them may be outdated. */
export const renewDeadlineMs = 2_000;

/** Below the deadline, so that an abandoned statement does not keep waiting in the server. */
export const renewLockTimeoutMs = 1_500;

/** After an outage all members rejoin within the deadline of a hanging attempt and half a second. */
export const rejoinDeadlineMs = 2_500;

/**
 * One attempt to announce a leave. A second one is made, because without an announcement the member's apps have no owner
 * for a lease and a renewal.
 */
export const leaveDeadlineMs = 1_000;
export const leaveAttempts = 2;

/**
 * A member joins or leaves at the same moment for all members: its switch. All must have renewed and heard of it by
 * then, which takes a little more than 2 s; the switch follows at the next quarter past or to a full second. The slots
 * of apps begin at whole and half seconds (schedule/schedule.ts), so that a switch has a quarter of a second on both
 * sides for clocks that differ.
 */
export const switchAfterMs = 2_500;
export const switchGridMs = 500;
export const switchOffsetMs = 250;

/**
 * How long after a switch a member still collects the apps that it has lost: cycles that were due may be a little
 * late, and two responses of the database do not give the time of a switch to the millisecond. A cycle too many is
 * better than one too few. Short enough to end before the next slot begins.
 */
export const lateReleaseMs = 200;

/** A claim usually takes a millisecond. */
export const claimDeadlineMs = 1_000;
export const claimLockTimeoutMs = 750;

/** Cool-downs and back-offs of newly owned apps, one statement for all. Without them a claim is rejected, no more. */
export const blocksReadDeadlineMs = 5_000;

/** Reading the members for an operator. */
export const membersReadDeadlineMs = 1_000;

/** Removing old rows is not urgent. */
export const pruneDeadlineMs = 5_000;
export const pruneEveryMs = 3_600_000;

/**
 * The longest that a stored time may hold an app back: the longest cool-down that a policy may have. A clock that is
 * wrong by days stops scaling for an hour at most.
 */
export const longestBlockMs = 3_600_000;
