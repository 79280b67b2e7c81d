import assert from 'node:assert/strict';
import { WatchTree } from '../../../src/xenstore/watch-tree.js';

const listener = { onEvent: () => undefined, onLost: () => undefined };
const watch = (path: string) => ({ path, listener });

describe('a tree of watches', () => {
  const root = watch('backend/vbd');
  const vbd = watch('backend/vbd/7/51712');
  const state = watch('backend/vbd/7/51712/state');
  const other = watch('backend/vbd/71/51712/state');
  const tree = new WatchTree();
  before(() => {
    for (const each of [root, vbd, state, other]) tree.add(each);
  });

  it('tells a node, and all above it, of its change', () => {
    const path = 'backend/vbd/7/51712/state';
    assert.deepEqual(tree.concerned(path), [
      [root, path],
      [vbd, path],
      [state, path],
    ]);
  });

  it('tells a node of what happens below it', () => {
    const path = 'backend/vbd/7/51712/state/below';
    assert.deepEqual(
      tree.concerned(path).map(([found]) => found),
      [root, vbd, state],
    );
  });

  it('tells all below a node of its change as one of their own', () => {
    assert.deepEqual(tree.concerned('backend/vbd/7'), [
      [root, 'backend/vbd/7'],
      [vbd, vbd.path],
      [state, state.path],
    ]);
    assert.equal(tree.concerned('backend').length, 4);
  });

  it('forgets what was taken away, once', () => {
    const again = watch('backend/vbd/7/51712/state');
    tree.add(again);
    assert.equal(tree.delete(state), true);
    assert.equal(tree.delete(state), false);
    assert.equal(tree.delete(watch('nowhere/at/all')), false);
    assert.deepEqual([...tree.all()], [root, vbd, again, other]);
    for (const each of [root, vbd, again, other]) tree.delete(each);
    assert.deepEqual([...tree.all()], []);
    assert.deepEqual(tree.concerned('backend/vbd/7/51712/state'), []);
  });
});
