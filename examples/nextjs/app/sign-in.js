import { createHmac, timingSafeEqual } from "node:crypto";
import { cookies } from "next/headers";

/** Stands for your application's own sign-in: here a name is enough. */
const COOKIE = "shop_user";

export async function signIn(form) {
  "use server";
  const user = String(form.get("user")).trim();
  const value = `${Buffer.from(user).toString("base64url")}.${signature(user)}`;
  (await cookies()).set(COOKIE, value, { httpOnly: true, sameSite: "lax", path: "/" });
}

/** Return who is signed in, or null. */
export async function signedIn() {
  const [name = "", signed = ""] = ((await cookies()).get(COOKIE)?.value ?? "").split(".");
  const user = Buffer.from(name, "base64url").toString();
  const [is, should] = [signed, signature(user)].map((text) => Buffer.from(text));
  return user && is.length === should.length && timingSafeEqual(is, should) ? user : null;
}

function signature(user) {
  return createHmac("sha256", process.env.SESSION_SECRET).update(user).digest("base64url");
}
