/*
 * Every time of elastic ownership, in milliseconds, with the reason for it. They hang together: an app whose owner
 * died is taken over after at most leaseMs + renewEveryMs, and a leaver is gone (leaveDeadlineMs twice, a turn, and
 * letGoLateMs) well before the platform kills it.
 */

/**
 * How long a lease lasts in the database. Shorter finds the dead sooner, longer outlasts pauses of members and
 * failovers of the database: ten seconds cover five renewals.
 */
export const leaseMs = 10_000;

/**
 * How long a member itself counts on its lease, from the *start* of the last answered renewal. Its clock may run 1 %
 * slow and the database's 1 % fast, which makes 10 s there 9.80 s here. Ending too early costs one rejoin, ending
 * too late would let a member act on a lease that is over.
 */
export const localLeaseMs = 9_800;

/** From start to start; a tenth of it at random is taken off, so that members do not renew in step for ever. */
export const renewEveryMs = 2_000;

/** Answers that come later do not count: they tell of a view and a lease that may have gone since. */
export const renewDeadlineMs = 2_000;

/** Below the deadline, so that a statement that nobody waits for any more does not keep waiting in the server. */
export const renewLockTimeoutMs = 1_500;

/** After an outage everybody has rejoined within the deadline of a hanging attempt and a bit. */
export const rejoinDeadlineMs = 2_500;

/** One attempt to say that this member leaves. Who goes without costs its apps a lease and a renewal, hence two. */
export const leaveDeadlineMs = 1_000;
export const leaveAttempts = 2;

/**
 * A member that joins or leaves does so for everyone at the same moment, its turn: as soon as everyone has renewed and
 * heard of it, which takes 2 s and a bit, at the next quarter past or to a full second. The turns of apps begin at whole
 * and half seconds (collection/schedule.ts; their cycles may start a little later), so that a member's turn has a
 * quarter of a second on both sides for clocks that differ.
 */
export const switchAfterMs = 2_500;
export const switchGridMs = 500;
export const switchOffsetMs = 250;

/**
 * For so long after a turn apps are still collected that another member begins to own: cycles that were due may be
 * a little late, and two answers of the database do not tell the time of a turn to the millisecond. A cycle too many is
 * better than one too few. Short enough to end before the next turns of apps begin.
 */
export const lateReleaseMs = 200;

/** A claim takes a millisecond; one that takes this long will not come. */
export const claimDeadlineMs = 1_000;
export const claimLockTimeoutMs = 750;

/** Cool-downs and back-offs of newly owned apps, one statement for all. Without them a trigger is refused, no more. */
export const blocksReadDeadlineMs = 5_000;

/** Reading the members for an operator. */
export const membersReadDeadlineMs = 1_000;

/** Removing old rows is nobody's hurry. */
export const pruneDeadlineMs = 5_000;
export const pruneEveryMs = 3_600_000;

/**
 * The longest that a stored time may hold an app back: the longest cool-down that a policy may have. Wherever a
 * clock is wrong by days, scaling stops for an hour at most.
 */
export const longestBlockMs = 3_600_000;
