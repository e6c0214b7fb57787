// What gorsejs' own tests do, without the parts that write into gorse's Redis behind its back. Exits 1 at the first
// difference. Run in a folder where gorsejs is installed.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { Gorse, GorseException } = require("gorsejs");
const client = new Gorse({ endpoint: "http://127.0.0.1:8088", secret: "zhenghaoz" });

const user = { UserId: "js-100", Labels: ["a", "b", "c"], Comment: "comment" };
assert.equal(await client.insertUser(user), 1);
assert.deepEqual(await client.getUser("js-100"), user);
assert.equal(await client.updateUser("js-100", { Comment: "other" }), 1);
assert.equal((await client.getUser("js-100")).Comment, "other");
assert.equal(await client.deleteUser("js-100"), 1);
await assert.rejects(client.getUser("js-100"), GorseException);

const item = {
  ItemId: "js-100", IsHidden: true, Labels: ["a", "b", "c"], Categories: ["d", "e"], Timestamp: "2022-08-07T00:26:46Z",
  Comment: "comment",
};
assert.equal(await client.upsertItem(item), 1);
assert.deepEqual(await client.getItem("js-100"), item);
assert.equal(await client.deleteItem("js-100"), 1);
await assert.rejects(client.getItem("js-100"), GorseException);

const feedback = ["like", "read", "read"].map((FeedbackType, place) => ({
  FeedbackType, UserId: "js-100", ItemId: String(place + 1), Timestamp: "2022-08-07T00:26:46Z",
}));
assert.equal(await client.insertFeedbacks(feedback), 3);
const recommended = await client.getRecommend({ userId: "js-100", cursorOptions: { n: 5 } });
assert.ok(recommended.length >= 5 && !recommended.includes("1"));
const session = await client.getSessionRecommend([{ ...feedback[0], ItemId: "1" }]);
assert.ok(session.length > 0 && session.every((score) => score.Id !== "1" && Number.isFinite(score.Score)));
assert.ok((await client.getLatest({})).length > 0);
assert.ok(Array.isArray(await client.getPopular({})));
assert.ok((await client.getItemNeighbors({ itemId: "1" })).length > 0);
assert.ok((await client.getUserNeighbors({ userId: "js-100" })).length > 0);
console.log("users, items, feedback, recommend, session, latest, popular, neighbours: as expected");
