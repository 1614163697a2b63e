import { hosts, writeNameFaults } from '../names.js';
import { openSilentClients, readHistoriesSlowly, askForHealth } from '../clients.js';
import { indexes, repeat, someMember, someMembers, type FaultKind } from './fault.js';

/** Names, certificates, and those who connect to the eventgenerator's servers. */
export const networkFaults: readonly FaultKind[] = [
  {
    name: 'names.not-answered',
    longestSecs: 60,
    async begin({ namesFile }, random) {
      const host = random.pick(hosts);
      const kind = random.pick(['hang', 'fail'] as const);
      await writeNameFaults(namesFile, { [host]: kind });
      return { detail: `${host}: ${kind}`, end: () => writeNameFaults(namesFile, {}) };
    },
  },
  {
    name: 'certificates.rotated',
    longestSecs: 20,
    async begin(stage, random) {
      const members = someMembers(stage, random);
      for (const member of members) {
        await member.replaceCertificate(await stage.platform.issueCertificate('eventgenerator'));
      }
      return { detail: indexes(members), end: () => undefined };
    },
  },
  {
    name: 'certificates.broken',
    longestSecs: 30,
    async begin(stage, random) {
      const member = someMember(stage, random);
      const good = await member.certificate();
      const broken = random.pick([
        { ...good, key: (await stage.platform.issueCertificate('somebody else')).key },
        { ...good, chain: '' },
        { ...good, chain: good.chain.slice(0, 200) },
      ]);
      await member.replaceCertificate(broken);
      return { detail: indexes([member]), end: () => member.replaceCertificate(good) };
    },
  },
  {
    name: 'clients.silent',
    longestSecs: 40,
    begin(stage, random) {
      const members = someMembers(stage, random);
      const count = random.whole(20, 200);
      const close = members.map((member) => openSilentClients(member.config, count));
      return {
        detail: `${count} connections, ${indexes(members)}`,
        end: () => close.forEach((end) => end()),
      };
    },
  },
  {
    name: 'clients.slow',
    longestSecs: 40,
    begin(stage, random) {
      const member = someMember(stage, random);
      const app = random.pick(stage.guids);
      const close = readHistoriesSlowly(member.config, app, random.whole(5, 40));
      return { detail: indexes([member]), end: close };
    },
  },
  {
    name: 'clients.many',
    longestSecs: 20,
    begin(stage, random) {
      const member = someMember(stage, random);
      return { detail: indexes([member]), end: repeat(500, () => askForHealth(member.config, 100)) };
    },
  },
];
