import type {
  AdminWorkspace,
  ApiKey,
  Invitation,
  Member,
  Offer,
  SentInvitation,
  ServiceAccount,
  Workspace,
} from "@/api/types";
import { NOW_S } from "@/testing/fixtures";

const DAY_S = 86_400;

export function makeKey(overrides: Partial<ApiKey> = {}): ApiKey {
  return {
    id: "key_1",
    object: "api_key",
    name: "Booking page",
    prefix: "tb_live_",
    last4: "9f2c",
    role: "member",
    scopes: null,
    user_id: "user_1",
    service_account_id: null,
    created_at: NOW_S - 400_000,
    created_by: "user_1",
    last_used_at: NOW_S - 300,
    expires_at: null,
    previous_expires_at: null,
    ...overrides,
  };
}

export const KEYS: ApiKey[] = [
  makeKey(),
  makeKey({
    id: "key_2",
    name: "Nightly import",
    last4: "77ab",
    user_id: null,
    service_account_id: "svc_1",
    scopes: ["datasets:read", "datasets:write"],
    expires_at: NOW_S + 20 * DAY_S,
    previous_expires_at: NOW_S + 5 * 3600,
  }),
  makeKey({
    id: "key_3",
    name: "Trial",
    last4: "0c1d",
    user_id: "user_2",
    last_used_at: null,
    expires_at: NOW_S - DAY_S,
  }),
];

export const MEMBERS: Member[] = [
  {
    id: "user_1",
    object: "member",
    email: "maya@clinic.example",
    name: "Maya Lindqvist",
    role: "admin",
    created_at: NOW_S - 900_000,
  },
  {
    id: "user_2",
    object: "member",
    email: "jon@clinic.example",
    name: "Jon Abara",
    role: "member",
    created_at: NOW_S - 500_000,
  },
];

function makeInvitation(overrides: Partial<Invitation> = {}): Invitation {
  return {
    id: "inv_1",
    object: "invitation",
    email: "li@clinic.example",
    role: "reviewer",
    created_at: NOW_S - 100_000,
    expires_at: NOW_S + 5 * DAY_S,
    is_expired: false,
    invited_by: "user_1",
    inviter_name: "Maya Lindqvist",
    ...overrides,
  };
}

export const INVITATIONS: Invitation[] = [
  makeInvitation(),
  makeInvitation({ id: "inv_2", email: "sam@lab.example", expires_at: NOW_S - DAY_S, is_expired: true }),
];

export function makeSentInvitation(overrides: Partial<SentInvitation> = {}): SentInvitation {
  return {
    ...makeInvitation(),
    link: "https://tailor.example/join?token=only-once-0123456789",
    is_mailed: false,
    ...overrides,
  };
}

export const OFFER: Offer = {
  object: "invitation.offer",
  workspace_name: "Riverside Clinic",
  email: "li@clinic.example",
  role: "reviewer",
  inviter_name: "Maya Lindqvist",
  expires_at: NOW_S + 5 * DAY_S,
};

export const ACCOUNTS: ServiceAccount[] = [
  {
    id: "svc_1",
    object: "service_account",
    name: "Records system",
    role: "member",
    created_at: NOW_S - 300_000,
    created_by: "user_1",
  },
];

export const WORKSPACES: Workspace[] = [
  {
    id: "ws_1",
    object: "workspace",
    name: "Riverside Clinic",
    slug: "clinic",
    role: "admin",
    created_at: NOW_S - 900_000,
    archived_at: null,
  },
  {
    id: "ws_2",
    object: "workspace",
    name: "Research group",
    slug: "research",
    role: "member",
    created_at: NOW_S - 400_000,
    archived_at: null,
  },
];

export const ALL_WORKSPACES: AdminWorkspace[] = [
  {
    id: "ws_3",
    object: "workspace",
    name: "Old pilot",
    slug: "pilot",
    num_members: 1,
    num_bytes: 120_000_000,
    max_bytes: null,
    has_own_max_bytes: false,
    created_at: NOW_S - 300_000,
    archived_at: NOW_S - 60_000,
  },
  {
    id: "ws_1",
    object: "workspace",
    name: "Riverside Clinic",
    slug: "clinic",
    num_members: 2,
    num_bytes: 4_600_000_000,
    max_bytes: 5_000_000_000,
    has_own_max_bytes: true,
    created_at: NOW_S - 900_000,
    archived_at: null,
  },
  {
    id: "ws_4",
    object: "workspace",
    name: "Harbour school",
    slug: "harbour-school",
    num_members: 14,
    num_bytes: 812_000_000,
    max_bytes: null,
    has_own_max_bytes: false,
    created_at: NOW_S - 950_000,
    archived_at: null,
  },
];
