import type { LookupFunction } from 'node:net';
import { systemClock } from '../util/clock.js';
import { findAddresses } from './find-addresses.js';
import { NameError, NameLookups, type Addresses } from './name-lookups.js';

/** Of one thread: what one client has learnt serves the others. */
const names = new NameLookups(findAddresses, systemClock);

/** Whether a connection to the host waits for its name to be resolved. */
export const isNamePending = (host: string) => names.isPending(host);

/** Rejects with a NameError. */
export const addressesOf = (host: string): Promise<Addresses> => names.resolve(host);

/** For `lookup` of sockets and agents. */
export const lookup: LookupFunction = (host, { all, family }, callback) => {
  const wanted = family === 'IPv4' ? 4 : family === 'IPv6' ? 6 : family;
  names.resolve(host).then(
    (addresses) => {
      const fitting = addresses.filter((each) => !wanted || each.family === wanted);
      const [first] = fitting;
      if (!first) {
        callback(new NameError(host, 'ENOTFOUND', `DNS knows no address of family ${wanted} for it`), '');
      } else if (all) callback(null, fitting);
      else callback(null, first.address, first.family);
    },
    (error: NameError) => callback(error, ''),
  );
};
