import type { ListedDecision } from '../decisions/listed-decision.js';
import { isListedReason, type ListedReason, type ReasonCode } from '../explanation/reason.js';
import { observersNote, timeText } from '../explanation/sentence.js';
import type { MemberView } from '../ownership/members-view.js';
import { markup, type Html } from './html.js';
import { page } from './page.js';

export interface AppsPageData {
  readonly isObserver: boolean;
  readonly nowMs: number;
  /** Apps by reason, most first; null: not known here. */
  readonly counts: readonly { readonly reason: ReasonCode; readonly apps: number }[] | null;
  /** The apps of one reason, a page of them. */
  readonly selected: {
    readonly reason: ListedReason;
    readonly apps: readonly Pick<ListedDecision, 'appId' | 'sinceMs' | 'detail'>[];
    readonly nextCursor: string | null;
  } | null;
  /** `static`: members know nothing of each other; null: appmetrics_db does not answer. */
  readonly members: readonly MemberView[] | 'static' | null;
  readonly breakers: readonly { readonly name: string; readonly state: string }[];
}

/** All apps by the reason of their decision, the members and the breakers. */
export function appsPage(data: AppsPageData): string {
  return page(
    'Apps by reason',
    markup`<h1>Eventgenerator: apps by reason</h1>
      ${data.isObserver ? markup`<p class="verdict">${observersNote}</p>` : null}
      <p class="muted">As of ${timeText(data.nowMs, 0)} UTC.</p>
      <form action="/health/apps" method="get">
        <input name="app" aria-label="App GUID" placeholder="App GUID" maxlength="100" required /><button>
          Explain
        </button>
      </form>
      ${countsTable(data)} ${selectedTable(data)} ${membersTable(data.members)}
      <h2>Breakers of this instance</h2>
      <div class="table small">
        <table>
          ${data.breakers.map(
            ({ name, state }) =>
              markup`<tr>
                <th>${name}</th>
                <td>${state}</td>
              </tr>`,
          )}
        </table>
      </div>`,
  );
}

function countsTable({ counts }: AppsPageData): Html {
  if (counts === null)
    return markup`<p>Apps by reason are not known here: policies or the table of decisions cannot be read.</p>`;
  if (counts.length === 0) return markup`<p>No decision is stored yet.</p>`;
  return markup`<div class="table small">
    <table>
      <tr class="head">
        <th>Reason</th>
        <th>Apps</th>
      </tr>
      ${counts.map(
        ({ reason, apps }) =>
          markup`<tr>
            <td>${isListedReason(reason) ? markup`<a href="/health/apps?reason=${reason}">${reason}</a>` : reason}</td>
            <td class="number">${apps}</td>
          </tr>`,
      )}
    </table>
  </div>`;
}

function selectedTable({ selected, nowMs }: AppsPageData): Html | null {
  if (!selected) return null;
  const { reason, apps, nextCursor } = selected;
  const more =
    nextCursor === null
      ? null
      : markup`<p>
          <a href="/health/apps?reason=${reason}&amp;cursor=${encodeURIComponent(nextCursor)}">More</a>
        </p>`;
  return markup`<h2>${reason}</h2>
    ${apps.length === 0 ? markup`<p>No app.</p>` : null}
    <div class="table">
      <table>
        ${apps.map(
          ({ appId, sinceMs, detail }) =>
            markup`<tr>
              <td class="word"><a href="/health/apps/${encodeURIComponent(appId)}">${appId}</a></td>
              <td class="number">${sinceMs === null ? '' : `since ${timeText(sinceMs, nowMs)}`}</td>
              <td>${detail}</td>
            </tr>`,
        )}
      </table>
    </div>
    ${more}`;
}

function membersTable(members: AppsPageData['members']): Html {
  if (members === null)
    return markup`<h2>Members</h2>
      <p>Not known here: appmetrics_db does not answer.</p>`;
  if (members === 'static')
    return markup`<h2>Members</h2>
      <p>Ownership is static: instances know nothing of each other.</p>`;
  return markup`<h2>Members</h2>
    <div class="table">
      <table>
        <tr class="head">
          <th>Instance</th>
          <th>Lease</th>
          <th>Since</th>
          <th>Expires in</th>
          <th>Apps owned</th>
        </tr>
        ${members.map(
          ({ instanceIndex, leaseId, since, expiresInSecs, appsOwned }) =>
            markup`<tr>
              <td data-label="Instance">${instanceIndex}</td>
              <td data-label="Lease">${leaseId}</td>
              <td class="number" data-label="Since">${since.slice(0, 19).replace('T', ' ')}</td>
              <td class="number" data-label="Expires in">${expiresInSecs} s</td>
              <td class="number" data-label="Apps owned">${appsOwned}</td>
            </tr>`,
        )}
      </table>
    </div>`;
}
