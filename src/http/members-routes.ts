import type { Clock } from '../util/clock.js';
import { memberJson, type MemberView } from '../ownership/members-view.js';
import type { RouteModule } from './api-routes.js';
import { sendError } from './error-responses.js';
import { getRoute } from './get-route.js';
import { shared } from '../util/shared.js';

/**
 * `GET /v1/members`: which members share the apps. `readMembers` is null with static ownership, without members.
 * `observer`: whether they are observers.
 */
export function membersRoutes(
  readMembers: (() => Promise<readonly MemberView[]>) | null,
  clock: Pick<Clock, 'monotonic'>,
  observer: boolean,
): RouteModule {
  const members = readMembers && shared(clock, readMembers);
  return (app) =>
    getRoute(app, '/v1/members', async (_request, reply) => {
      if (!members) return { mode: 'static', observer, members: [] };
      try {
        return { mode: 'elastic', observer, members: (await members()).map(memberJson) };
      } catch {
        // The renewal of the own lease logs the cause.
        return sendError(reply, 503, 'appmetrics_db does not answer, and only it knows the members');
      }
    });
}
